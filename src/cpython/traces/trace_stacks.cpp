#include "cpython/traces/trace_stacks.h"

#include <algorithm>

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr const char* kUnreadable = "[unreadable]";
constexpr std::uint32_t kNoStack = 0xffffffff;
// tracemalloc's own limit from 3.9 on; before it was that of an int.
constexpr std::uint64_t kMaxFrames = 65535;
constexpr std::size_t kMaxFileName = 4096;  // PATH_MAX

}  // namespace

TraceStacks::TraceStacks(const Layout& layout, HeapBytes& bytes, std::uint64_t memory_bytes,
                         TraceTable& table)
    : layout_(layout),
      bytes_(bytes),
      objects_(layout, bytes.memory()),
      table_(table),
      frames_left_(memory_bytes / layout.size(Struct::kTraceFrame)),
      name_bytes_left_(memory_bytes),
      unreadable_(kNoStack) {}

RemoteAddr TraceStacks::frame_at(RemoteAddr stack, std::uint32_t index) const {
  return stack + layout_.offset(Field::kTraceStackFrames) +
         std::uint64_t{index} * layout_.size(Struct::kTraceFrame);
}

std::optional<TraceStacks::Head> TraceStacks::head_at(RemoteAddr address) {
  // Frames begin where the head ends; of a flexible array nothing is part of the structure.
  if (!is_plausible(address)) return std::nullopt;
  const auto found = bytes_.bytes(address, layout_.offset(Field::kTraceStackFrames));
  if (found.empty()) return std::nullopt;
  const auto get = [&](Field field) {
    const Slot slot = layout_.slots[static_cast<std::size_t>(field)];
    return load(found, slot.offset, slot.width).value_or(0);
  };
  const std::uint64_t count = get(Field::kTraceStackFrameCount);
  if (count == 0 || count > kMaxFrames) return std::nullopt;
  const std::uint64_t depth =
      layout_.has(Field::kTraceStackTotal) ? get(Field::kTraceStackTotal) : 0;
  return Head{static_cast<std::uint32_t>(count), static_cast<std::uint32_t>(depth)};
}

std::optional<std::string> TraceStacks::name_at(RemoteAddr name) {
  if (layout_.strategies.trace_filenames == TraceFilenameKind::kCString) {
    // Characters need no alignment.
    if (name.value < kUserAddressBegin || name.value >= kUserAddressEnd) return std::nullopt;
    auto text = read_c_string(bytes_.memory(), name, kMaxFileName);
    return text && !text->empty() ? std::optional(std::move(*text)) : std::nullopt;
  }
  if (!is_plausible(name)) return std::nullopt;
  auto text = objects_.read_str(name, kMaxFileName);
  return text && !text->empty() ? std::optional(std::move(*text)) : std::nullopt;
}

bool TraceStacks::looks_right(RemoteAddr address) {
  if (!head_at(address)) return false;
  return name_at(bytes_.pointer(frame_at(address, 0) + layout_.offset(Field::kTraceFrameFilename)))
      .has_value();
}

std::uint32_t TraceStacks::intern(std::string name) {
  const auto [at, added] =
      file_of_name_.try_emplace(name, static_cast<std::uint32_t>(table_.files.size()));
  if (added) table_.files.push_back(std::move(name));
  return at->second;
}

std::uint32_t TraceStacks::file_at(RemoteAddr name) {
  const auto [at, added] = files_.try_emplace(name, 0);
  if (!added) return at->second;
  auto text = name_bytes_left_ > kMaxFileName ? name_at(name) : std::nullopt;
  if (!text) {
    ++table_.damage.names;
    text = kUnreadable;
  }
  name_bytes_left_ -= std::min<std::uint64_t>(name_bytes_left_, text->size());
  return at->second = intern(std::move(*text));
}

std::uint32_t TraceStacks::unreadable() {
  if (unreadable_ == kNoStack) {
    unreadable_ = static_cast<std::uint32_t>(table_.stacks.size());
    table_.stacks.push_back({table_.frames.size(), 1, 0});
    table_.frames.push_back({intern(kUnreadable), 0});
  }
  return unreadable_;
}

std::uint32_t TraceStacks::add(RemoteAddr address, const Head& head) {
  TraceStack stack{table_.frames.size(), 0, head.depth};
  const std::uint32_t count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(head.count, frames_left_));
  table_.damage.frames += head.count - count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto found = bytes_.bytes(frame_at(address, i), layout_.size(Struct::kTraceFrame));
    if (found.empty()) {
      table_.damage.frames += count - i;
      break;
    }
    const RemoteAddr name{load(found, layout_.offset(Field::kTraceFrameFilename), 8).value_or(0)};
    const auto line = load(found, layout_.offset(Field::kTraceFrameLine), 4).value_or(0);
    table_.frames.push_back({file_at(name), static_cast<std::uint32_t>(line)});
    ++stack.count;
  }
  if (stack.count == 0) return unreadable();
  frames_left_ -= stack.count;
  table_.stacks.push_back(stack);
  return static_cast<std::uint32_t>(table_.stacks.size() - 1);
}

std::uint32_t TraceStacks::read(RemoteAddr address) {
  const auto [at, added] = stacks_.try_emplace(address, 0);
  if (!added) return at->second;
  const auto head = head_at(address);
  return at->second = head ? add(address, *head) : unreadable();
}

}  // namespace memspy::cpython

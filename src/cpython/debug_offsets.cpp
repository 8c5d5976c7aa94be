#include "cpython/debug_offsets.h"

#include <limits>

#include <spdlog/fmt/fmt.h>

#include "cpython/layouts.h"
#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kFreeThreadedAt = 16;
constexpr std::size_t kHeadSize = 24;
constexpr std::uint64_t kMaxPublished = std::numeric_limits<std::uint32_t>::max();

Error impossible(RemoteAddr runtime, std::string_view what, std::uint64_t value) {
  return make_error(Errc::kCorrupt, fmt::format("debug offsets at {:#x} say {:#x} for {}",
                                                runtime.value, value, what));
}

}  // namespace

std::optional<DebugOffsetsHead> read_debug_offsets_head(const MemoryReader& memory,
                                                        RemoteAddr runtime) {
  const auto block = Block::read(memory, runtime, kHeadSize);
  if (!block) return std::nullopt;
  const auto bytes = block->bytes();
  if (std::memcmp(bytes.data(), kDebugOffsetsCookie.data(), kDebugOffsetsCookie.size()) != 0) {
    return std::nullopt;
  }
  const auto version = version_from_hex(load(bytes, kVersionAt, 8).value_or(0));
  if (!version) return std::nullopt;
  DebugOffsetsHead head{*version};
  head.version.free_threaded = load(bytes, kFreeThreadedAt, 8).value_or(0) != 0;
  return head;
}

Result<Unit> apply_debug_offsets(const MemoryReader& memory, RemoteAddr runtime, Layout& layout) {
  const DebugOffsetsTable table = debug_offsets_table(layout.minor);
  if (table.size == 0) {
    return make_error(Errc::kUnsupported,
                      fmt::format("debug offsets of 3.{} are not known", layout.minor));
  }
  MEMSPY_TRY(block, Block::read(memory, runtime, table.size));
  for (const SizeEntry& entry : table.sizes) {
    const std::uint64_t size = load(block.bytes(), entry.size, 8).value_or(0);
    if (size == 0 || size > kMaxPublished)
      return impossible(runtime, "the size of a structure", size);
    layout.sizes[static_cast<std::size_t>(entry.of)] = static_cast<std::uint32_t>(size);
  }
  for (const DebugFieldEntry& entry : table.fields) {
    const std::uint64_t offset = load(block.bytes(), entry.at, 8).value_or(0);
    if (offset > kMaxPublished) return impossible(runtime, field_name(entry.field), offset);
    Slot& slot = layout.slots[static_cast<std::size_t>(entry.field)];
    slot.offset = static_cast<std::uint32_t>(offset);
  }
  layout.source =
      fmt::format("debug offsets of the target at {:#x}, the rest from the 3.{} static table",
                  runtime.value, layout.minor);
  return validate(layout);
}

}  // namespace memspy::cpython

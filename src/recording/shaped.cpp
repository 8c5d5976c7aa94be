#include "recording/shaped.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <spdlog/fmt/fmt.h>

#include "recording/frame_interner.h"

namespace memspy::recording {
namespace {

// The last `count` components of a path; the whole path when it has no more.
std::string tail(const std::string& path, std::size_t count) {
  std::size_t at = path.size();
  while (count-- > 0) {
    at = at == 0 ? std::string::npos : path.rfind('/', at - 1);
    if (at == std::string::npos) return path;
  }
  return path.substr(at + 1);
}

bool is_tail_of(const std::string& shorter, const std::string& longer) {
  return longer.size() > shorter.size() && longer.ends_with(shorter) &&
         longer[longer.size() - shorter.size() - 1] == '/';
}

// How many components tell `path` from every other one of the same last component.
std::size_t distinct_components(const std::string& path,
                                const std::vector<std::string>& namesakes) {
  std::size_t needed = 1;
  for (const auto& other : namesakes) {
    if (other == path || is_tail_of(path, other) || is_tail_of(other, path)) continue;
    while (tail(path, needed) == tail(other, needed)) ++needed;
  }
  return needed;
}

class Shaper {
 public:
  Shaper(const Profile& profile, const StackShape& shape) : frames_(profile, shape) {}

  void add(const ProfileKey& key, std::int64_t amount, std::uint64_t samples) {
    auto& sum = sums_[frames_.stack(key)];
    // A hostile file's sums wrap.
    sum.amount = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum.amount) +
                                           static_cast<std::uint64_t>(amount));
    sum.samples += samples;
  }

  // Amounts are `unit`s.
  ShapedProfile finish(std::int64_t unit) &&;

 private:
  struct Sum {
    std::int64_t amount = 0;
    std::uint64_t samples = 0;
  };

  FrameInterner frames_;
  std::map<std::vector<std::uint32_t>, Sum> sums_;
};

ShapedProfile Shaper::finish(std::int64_t unit) && {
  auto all = std::move(frames_).take();
  std::vector<std::uint32_t> order(all.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return all[a].text < all[b].text; });
  std::vector<std::uint32_t> place(all.size());
  ShapedProfile out;
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    out.frames.push_back(std::move(all[order[i]]));
  }
  for (const auto& [frames, sum] : sums_) {
    const std::int64_t amount = sum.amount / unit;
    if (amount <= 0) continue;
    ShapedStack stack{frames, static_cast<std::uint64_t>(amount), sum.samples};
    for (auto& frame : stack.frames) frame = place[frame];
    out.total += stack.amount;
    out.stacks.push_back(std::move(stack));
  }
  std::sort(out.stacks.begin(), out.stacks.end(),
            [](const auto& a, const auto& b) { return a.frames < b.frames; });
  return out;
}

}  // namespace

FileNames::FileNames(const StackTable& stacks, bool full) {
  std::map<std::string, std::vector<std::string>> namesakes;  // last component -> paths
  for (std::uint32_t id = 1; id <= stacks.frame_count(); ++id) {
    const std::string& file = stacks.frame(FrameId{id}).file;
    if (file.empty() || !names_.try_emplace(file, file).second || full) continue;
    namesakes[tail(file, 1)].push_back(file);
  }
  for (const auto& [last, paths] : namesakes) {
    for (const auto& path : paths) names_[path] = tail(path, distinct_components(path, paths));
  }
}

const std::string& FileNames::name(const std::string& file) const {
  const auto known = names_.find(file);
  return known == names_.end() ? file : known->second;
}

std::string frame_text(const Frame& frame, const FileNames& files, const StackShape& shape) {
  if (frame.kind == FrameKind::kMarker || frame.file.empty()) return frame.function;
  const bool line = frame.line > 0 && !shape.functions && !shape.no_lines;
  const std::string& file = files.name(frame.file);
  return line ? fmt::format("{} ({}:{})", frame.function, file, frame.line)
              : fmt::format("{} ({})", frame.function, file);
}

namespace {

// Summed up first: less than a microsecond of a stack may be much of it together.
ShapedProfile shape_allocation(const Profile& profile, Shaper& shaper) {
  for (const auto& [key, spent] : profile.allocation)
    if (key.stack != kNoStack) shaper.add(key, spent.time.count(), spent.samples);
  ShapedProfile shaped = std::move(shaper).finish(1000);
  shaped.measure = Measure::kMicroseconds;
  return shaped;
}

ShapedProfile shape_temporaries(const Profile& profile, Shaper& shaper) {
  for (const TemporaryRecord& record : profile.temporaries)
    shaper.add({record.process, record.thread, record.stack},
               static_cast<std::int64_t>(record.objects), record.objects);
  ShapedProfile shaped = std::move(shaper).finish(1);
  shaped.measure = Measure::kObjects;
  return shaped;
}

}  // namespace

ShapedProfile shape_stacks(const Profile& profile, const StackShape& shape, Amount amount) {
  Shaper shaper(profile, shape);
  if (profile.measure() == Measure::kMicroseconds) return shape_allocation(profile, shaper);
  if (amount == Amount::kTemporary) return shape_temporaries(profile, shaper);
  for (const auto& [key, value] : profile.growth) {
    const auto touched = static_cast<std::int64_t>(value.touched_bytes);
    shaper.add(key, amount == Amount::kGross ? touched : value.net_bytes(), value.samples);
  }
  // A rest that shrank is shrink, and does not lessen what stacks explain.
  for (const auto& [process, bytes] : profile.unattributed) {
    if (bytes > 0) shaper.add({process, {}, kNoStack}, bytes, 0);
  }
  return std::move(shaper).finish(1);
}

}  // namespace memspy::recording

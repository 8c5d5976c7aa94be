#include "recording/shaped.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include <spdlog/fmt/fmt.h>

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
  Shaper(const Profile& profile, const StackShape& shape)
      : profile_(profile), shape_(shape), files_(profile.stacks, shape.full_filenames) {}

  void add(const ProfileKey& key, std::int64_t bytes, std::uint64_t samples) {
    std::vector<std::uint32_t> frames;
    if (shape_.processes) frames.push_back(process_frame(key.process));
    if (shape_.threads) {
      if (const auto* thread = profile_.find_thread(key.thread))
        frames.push_back(thread_frame(*thread));
    }
    for (const FrameId id : profile_.stacks.frames_of(key.stack)) frames.push_back(frame(id));
    if (key.stack == kNoStack) frames.push_back(marker(kUnattributed));
    auto& sum = sums_[frames];
    sum.bytes += bytes;
    sum.samples += samples;
  }

  ShapedProfile finish() &&;

 private:
  struct Sum {
    std::int64_t bytes = 0;
    std::uint64_t samples = 0;
  };

  std::uint32_t intern(ShapedFrame frame) {
    const auto [it, fresh] =
        index_.try_emplace(frame.text, static_cast<std::uint32_t>(frames_.size()));
    if (fresh) frames_.push_back(std::move(frame));
    return it->second;
  }
  std::uint32_t marker(std::string text) {
    return intern({.text = text,
                   .function = text,
                   .file = {},
                   .file_name = {},
                   .line = 0,
                   .kind = FrameKind::kMarker,
                   .code = {}});
  }
  std::uint32_t process_frame(ProcessIndex index) {
    const auto* process = profile_.find_process(index);
    if (process == nullptr) return marker("pid ?");
    return marker(fmt::format("pid {} ({})", process->identity.pid.value, process->name));
  }
  std::uint32_t thread_frame(const ThreadRecord& thread) {
    if (thread.name.empty()) return marker(fmt::format("thread {}", thread.tid.value));
    return marker("thread " + thread.name);
  }
  std::uint32_t frame(FrameId id) {
    if (by_id_.size() < id.value) by_id_.resize(profile_.stacks.frame_count());
    auto& known = by_id_[id.value - 1];
    if (!known.has_value()) {
      const Frame& f = profile_.stacks.frame(id);
      const std::int32_t line = shape_.functions || shape_.no_lines ? 0 : f.line;
      known = intern({frame_text(f, files_, shape_), f.function, f.file, files_.name(f.file), line,
                      f.kind, f.code});
    }
    return *known;
  }

  const Profile& profile_;
  const StackShape& shape_;
  FileNames files_;
  std::vector<ShapedFrame> frames_;
  std::unordered_map<std::string, std::uint32_t> index_;
  std::vector<std::optional<std::uint32_t>> by_id_;
  std::map<std::vector<std::uint32_t>, Sum> sums_;
};

ShapedProfile Shaper::finish() && {
  std::vector<std::uint32_t> order(frames_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return frames_[a].text < frames_[b].text; });
  std::vector<std::uint32_t> place(frames_.size());
  ShapedProfile out;
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    out.frames.push_back(std::move(frames_[order[i]]));
  }
  for (const auto& [frames, sum] : sums_) {
    if (sum.bytes <= 0) continue;
    ShapedStack stack{frames, static_cast<std::uint64_t>(sum.bytes), sum.samples};
    for (auto& frame : stack.frames) frame = place[frame];
    out.total_bytes += stack.bytes;
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

ShapedProfile shape_stacks(const Profile& profile, const StackShape& shape, bool gross) {
  Shaper shaper(profile, shape);
  for (const auto& [key, value] : profile.growth) {
    const auto touched = static_cast<std::int64_t>(value.touched_bytes);
    shaper.add(key, gross ? touched : value.net_bytes(), value.samples);
  }
  // A rest that shrank is shrink, and does not lessen what stacks explain.
  for (const auto& [process, bytes] : profile.unattributed) {
    if (bytes > 0) shaper.add({process, {}, kNoStack}, bytes, 0);
  }
  return std::move(shaper).finish();
}

}  // namespace memspy::recording

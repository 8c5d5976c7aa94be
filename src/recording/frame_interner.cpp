#include "recording/frame_interner.h"

#include <spdlog/fmt/fmt.h>

namespace memspy::recording {

std::vector<std::uint32_t> FrameInterner::stack(const ProfileKey& key) {
  std::vector<std::uint32_t> frames;
  if (shape_.processes) frames.push_back(process_frame(key.process));
  if (shape_.threads) {
    if (const auto* thread = profile_->find_thread(key.thread))
      frames.push_back(thread_frame(*thread));
  }
  for (const FrameId id : profile_->stacks.frames_of(key.stack)) frames.push_back(frame(id));
  if (key.stack == kNoStack) frames.push_back(marker(kUnattributed));
  return frames;
}

std::uint32_t FrameInterner::intern(ShapedFrame frame) {
  const auto [it, fresh] =
      index_.try_emplace(frame.text, static_cast<std::uint32_t>(frames_.size()));
  if (fresh) frames_.push_back(std::move(frame));
  return it->second;
}

std::uint32_t FrameInterner::marker(std::string text) {
  return intern({.text = text,
                 .function = text,
                 .file = {},
                 .file_name = {},
                 .line = 0,
                 .kind = FrameKind::kMarker,
                 .code = {}});
}

std::uint32_t FrameInterner::process_frame(ProcessIndex index) {
  const auto* process = profile_->find_process(index);
  if (process == nullptr) return marker("pid ?");
  return marker(fmt::format("pid {} ({})", process->identity.pid.value, process->name));
}

std::uint32_t FrameInterner::thread_frame(const ThreadRecord& thread) {
  if (thread.name.empty()) return marker(fmt::format("thread {}", thread.tid.value));
  return marker("thread " + thread.name);
}

std::uint32_t FrameInterner::frame(FrameId id) {
  if (by_id_.size() < id.value) by_id_.resize(profile_->stacks.frame_count());
  auto& known = by_id_[id.value - 1];
  if (!known.has_value()) {
    const Frame& f = profile_->stacks.frame(id);
    const std::int32_t line = shape_.functions || shape_.no_lines ? 0 : f.line;
    known = intern({frame_text(f, files_, shape_), f.function, f.file, files_.name(f.file), line,
                    f.kind, f.code});
  }
  return *known;
}

}  // namespace memspy::recording

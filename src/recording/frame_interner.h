// The frames of a profile as outputs show them, each once by its text. Private to recording.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "recording/profile.h"
#include "recording/shaped.h"

namespace memspy::recording {

class FrameInterner {
 public:
  FrameInterner(const Profile& profile, const StackShape& shape)
      : profile_(&profile), shape_(shape), files_(profile.stacks, shape.full_filenames) {}

  // Outermost first, with the frames of process and thread that the shape asks for; never empty.
  std::vector<std::uint32_t> stack(const ProfileKey& key);
  std::vector<ShapedFrame> take() && { return std::move(frames_); }

 private:
  std::uint32_t intern(ShapedFrame frame);
  std::uint32_t marker(std::string text);
  std::uint32_t process_frame(ProcessIndex index);
  std::uint32_t thread_frame(const ThreadRecord& thread);
  std::uint32_t frame(FrameId id);

  const Profile* profile_;
  StackShape shape_;
  FileNames files_;
  std::vector<ShapedFrame> frames_;
  std::unordered_map<std::string, std::uint32_t> index_;
  std::vector<std::optional<std::uint32_t>> by_id_;
};

}  // namespace memspy::recording

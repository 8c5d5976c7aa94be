#include "memspy/frame.h"

#include <algorithm>

namespace memspy {

FrameId StackTable::intern(const Frame& frame) {
  std::string key;
  key.reserve(frame.function.size() + frame.file.size() + 16);
  key.append(frame.function).push_back('\0');
  key.append(frame.file).push_back('\0');
  key.append(std::to_string(frame.line)).push_back('\0');
  key.push_back(static_cast<char>(frame.kind));
  if (frame.kind == FrameKind::kNative) {
    key.append(frame.code.module).push_back('\0');
    key.append(frame.code.build_id).push_back('\0');
    key.append(std::to_string(frame.code.address));
  }
  auto [it, fresh] = frame_index_.try_emplace(std::move(key), frame_count() + 1);
  if (fresh) frames_.push_back(frame);
  return FrameId{it->second};
}

StackId StackTable::intern(StackId parent, FrameId frame) {
  const std::uint64_t key = (static_cast<std::uint64_t>(parent.value) << 32) | frame.value;
  auto [it, fresh] = node_index_.try_emplace(key, stack_count() + 1);
  if (fresh) nodes_.push_back(Node{parent, frame});
  return StackId{it->second};
}

StackId StackTable::intern_stack(const std::vector<Frame>& root_first) {
  StackId stack = kNoStack;
  for (const auto& frame : root_first) stack = intern(stack, intern(frame));
  return stack;
}

std::vector<FrameId> StackTable::frames_of(StackId id) const {
  std::vector<FrameId> frames;
  for (; id != kNoStack; id = node(id).parent) frames.push_back(node(id).frame);
  std::reverse(frames.begin(), frames.end());
  return frames;
}

}  // namespace memspy

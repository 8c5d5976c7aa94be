// Frames and interned stacks. A stack is a node of a tree: its parent's stack and one more frame;
// the empty stack is kNoStack. Ids are dense from 1 within one run or recording.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace memspy {

enum class FrameKind : std::uint8_t {
  kPython = 0,
  kNative = 1,
  kMarker = 2,  // [gc], [native thread], [unattributed]… : not a function
};

// What a forked child shares with its parent, which is no growth of anybody's: the reports tell it
// apart.
inline constexpr const char* kInheritedByFork = "[inherited by fork]";
// Between a function that is known and the outermost of its callers: what lies between is not.
inline constexpr const char* kCallersUnknown = "[callers unknown]";

// Where native code is, whoever runs it: names and lines are found by this, on any machine.
struct CodeAddress {
  std::string module;         // the path of the file, as the target has it; "": of no file (a JIT)
  std::string build_id;       // of that file, hexadecimal; "" without one
  std::uint64_t address = 0;  // in the file: a link address. Of a caller: the last byte of its call
  bool operator==(const CodeAddress&) const = default;
};

struct Frame {
  std::string function;   // qualified where the interpreter knows it; markers keep their brackets
  std::string file;       // "" for markers
  std::int32_t line = 0;  // 0: not known
  FrameKind kind = FrameKind::kPython;
  CodeAddress code = {};  // of kNative ones. Several may have one address: inlined functions
  bool operator==(const Frame&) const = default;
};

struct FrameId {
  std::uint32_t value = 0;
  auto operator<=>(const FrameId&) const = default;
};
struct StackId {
  std::uint32_t value = 0;
  auto operator<=>(const StackId&) const = default;
};
inline constexpr StackId kNoStack{};

// Interns frames and stacks. One thread at a time. Memory grows with the number of distinct
// frames and stacks only.
class StackTable {
 public:
  struct Node {
    StackId parent;
    FrameId frame;  // the innermost frame of this stack
  };

  FrameId intern(const Frame& frame);
  StackId intern(StackId parent, FrameId frame);
  // `root_first`: outermost frame first.
  StackId intern_stack(const std::vector<Frame>& root_first);

  const Frame& frame(FrameId id) const { return frames_[id.value - 1]; }
  const Node& node(StackId id) const { return nodes_[id.value - 1]; }
  std::uint32_t frame_count() const { return static_cast<std::uint32_t>(frames_.size()); }
  std::uint32_t stack_count() const { return static_cast<std::uint32_t>(nodes_.size()); }
  // Outermost frame first; empty for kNoStack.
  std::vector<FrameId> frames_of(StackId id) const;

 private:
  std::vector<Frame> frames_;
  std::vector<Node> nodes_;
  std::unordered_map<std::string, std::uint32_t> frame_index_;
  std::unordered_map<std::uint64_t, std::uint32_t> node_index_;
};

}  // namespace memspy

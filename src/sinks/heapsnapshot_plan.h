// What of a snapshot becomes which node of a .heapsnapshot. Private to sinks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "snapshot/snapshot.h"

namespace memspy::sinks {

// Indices into the format's list of node types, which is V8's.
enum class V8Node : std::uint8_t {
  kHidden,
  kArray,
  kString,
  kObject,
  kCode,
  kClosure,
  kRegExp,
  kNumber,
  kNative,
  kSynthetic
};
enum class V8Edge : std::uint8_t {
  kContext,
  kElement,
  kProperty,
  kInternal,
  kHidden,
  kShortcut,
  kWeak
};

// Nodes that no object stands behind: what holds objects that no module leads to.
enum class V8Group : std::uint8_t { kThreads, kInterpreter, kStaticTypes, kNativeRefs, kGarbage };
inline constexpr std::array<std::string_view, 5> kV8Groups{
    "(threads)", "(interpreter)", "(static types)", "(native refs)", "(garbage)"};
// Ids of the nodes without an object: the root's is 1, then the groups', then the end's.
constexpr std::uint32_t v8_group_id(std::size_t group) {
  return 2 * static_cast<std::uint32_t>(group) + 3;
}
inline constexpr std::uint32_t kV8EndId = v8_group_id(kV8Groups.size());
V8Group group_of(RootKind kind);  // not of kModule: modules hang below the root itself

V8Node v8_node_of(std::string_view type_name);
// A type's name as DevTools shows it whole: it cuts what begins with '<', and renames "Object".
std::string v8_class_name(std::string_view type_name);

// Of each string the first that says the same, as indices into the marks.
std::vector<std::uint32_t> first_alike(std::span<const snapshot::StringMark> marks);
// "str#11#00f3…": its length and its hash, in 16 digits.
std::string marked_name(const snapshot::StringMark& mark);

// Sizes are 32 bits for the reader: what is larger goes on in nodes of its own.
inline constexpr std::uint64_t kV8LargestSize = 0xfffffff8;
inline std::uint64_t v8_rest_nodes(std::uint64_t bytes) {
  return bytes <= kV8LargestSize ? 0 : (bytes - 1) / kV8LargestSize;
}

// Ids by which the reader's comparison view matches two files: odd, 32 bits, made of what an object
// keeps while it lives, its address and its type. Collisions go to the next free one, so they are
// the same in files of the same objects.
class V8Ids {
 public:
  explicit V8Ids(std::uint64_t count);
  std::uint32_t take(std::uint64_t address, std::uint64_t type);

 private:
  std::vector<std::uint32_t> taken_;  // open addressing; 0: free
};

}  // namespace memspy::sinks

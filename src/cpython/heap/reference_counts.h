// References that were found to each object, against the count that the object itself keeps: what
// is missing is held by native code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <unordered_map>

#include "base/column.h"
#include "memspy/object_visitor.h"

namespace memspy::cpython {

// A byte an object: few are referred to more often than it can count.
class ReferenceCounts {
 public:
  explicit ReferenceCounts(std::size_t nodes) : found_(nodes) {}

  // Weak references and shortcuts are none of the object's count.
  void add(const HeapEdge& edge) {
    if (!edge.weak && edge.kind != EdgeKind::kClosure) add(edge.to);
  }
  void add(NodeIndex to) {
    if (to.value >= found_.size()) return;
    if (found_[to.value] != kMany) {
      ++found_[to.value];
      return;
    }
    std::uint32_t& more = more_[to.value];
    if (more < std::numeric_limits<std::uint32_t>::max() - kMany) ++more;
  }
  // `count`: ob_refcnt, of an object that is not immortal.
  bool held_by_native(NodeIndex node, std::uint64_t count) const {
    return node.value < found_.size() && count > found(node);
  }
  std::uint32_t found(NodeIndex node) const {
    const std::uint32_t count = found_[node.value];
    if (count != kMany) return count;
    const auto more = more_.find(node.value);
    return more == more_.end() ? count : count + more->second;
  }

 private:
  static constexpr std::uint8_t kMany = 0xff;

  Column<std::uint8_t> found_;
  std::unordered_map<std::uint32_t, std::uint32_t> more_;  // beyond kMany
};

}  // namespace memspy::cpython

// References that were found to each object, against the count that the object itself keeps: what
// is missing is held by native code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "memspy/object_visitor.h"

namespace memspy::cpython {

class ReferenceCounts {
 public:
  explicit ReferenceCounts(std::size_t nodes) : found_(nodes) {}

  // Weak references and shortcuts are none of the object's count.
  void add(const HeapEdge& edge) {
    if (!edge.weak && edge.kind != EdgeKind::kClosure) add(edge.to);
  }
  void add(NodeIndex to) {
    if (to.value < found_.size() && found_[to.value] != std::numeric_limits<std::uint32_t>::max()) {
      ++found_[to.value];
    }
  }
  // `count`: ob_refcnt, of an object that is not immortal.
  bool held_by_native(NodeIndex node, std::uint64_t count) const {
    return node.value < found_.size() && count > found_[node.value];
  }
  std::uint32_t found(NodeIndex node) const { return found_[node.value]; }

 private:
  std::vector<std::uint32_t> found_;
};

}  // namespace memspy::cpython

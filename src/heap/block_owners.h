// Whose is a block of memory? Asked block by block in ascending order; nodes and buffers ascend
// too, so the answer costs a step each.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cpython/heap/heap_walker.h"
#include "snapshot/object_graph.h"

namespace memspy::heap {

using Buffers = std::span<const cpython::HeapWalker::OwnedBuffer>;

struct BlockOwner {
  TypeIndex type;
  bool buffer = false;  // the block belongs to an object of the type; false: it is one
};

// What has been found a place; shared by the passes over pools and over chunks.
struct Placed {
  std::vector<bool> nodes, buffers;
};

class BlockOwners {
 public:
  // `buffers` ascend.
  BlockOwners(const snapshot::ObjectGraph& graph, Buffers buffers, Placed& placed)
      : graph_(graph), buffers_(buffers), placed_(placed) {}

  // The owner of [start, end); blocks must ascend. Everything in the block counts as placed.
  std::optional<BlockOwner> owner_of(std::uint64_t start, std::uint64_t end) {
    std::optional<BlockOwner> owner;
    const std::uint32_t count = graph_.node_count();
    while (node_ < count && address(node_) < start) ++node_;
    for (; node_ < count && address(node_) < end; ++node_) {
      placed_.nodes[node_] = true;
      if (!owner) owner = BlockOwner{graph_.type({node_}), false};
    }
    while (buffer_ < buffers_.size() && buffers_[buffer_].address.value < start) ++buffer_;
    for (; buffer_ < buffers_.size() && buffers_[buffer_].address.value < end; ++buffer_) {
      placed_.buffers[buffer_] = true;
      const NodeIndex node = buffers_[buffer_].owner;
      if (!owner && node.value < count) owner = BlockOwner{graph_.type(node), true};
    }
    return owner;
  }

 private:
  std::uint64_t address(std::uint32_t node) const { return graph_.address({node}).value; }

  const snapshot::ObjectGraph& graph_;
  Buffers buffers_;
  Placed& placed_;
  std::uint32_t node_ = 0;
  std::size_t buffer_ = 0;
};

}  // namespace memspy::heap

// For every node that is alive, how it is reached by the shortest path from the roots: modules'
// first, and only what they do not reach from the next kind of root, in the order of RootKind.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/column.h"
#include "snapshot/object_graph.h"

namespace memspy::snapshot {

class PathTree {
 public:
  explicit PathTree(const ObjectGraph& graph);

  struct Step {
    std::uint32_t parent = kNotReached;
    std::uint32_t edge = 0;  // index among all edges; of a root: index among the roots
  };
  static constexpr std::uint32_t kNotReached = 0xffffffff;
  static constexpr std::uint32_t kIsRoot = 0xfffffffe;
  const Step& step(NodeIndex n) const { return steps_[n.value]; }

 private:
  Column<Step> steps_;
};

// Made when it is first asked for; any number of threads may ask.
class PathCache {
 public:
  const PathTree& tree(const ObjectGraph& graph);

 private:
  std::once_flag once_;
  std::unique_ptr<PathTree> tree_;
};

}  // namespace memspy::snapshot

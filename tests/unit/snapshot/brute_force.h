// Dominators by their definition: take a node away and see what can no longer be reached.
#pragma once

#include <vector>

#include "snapshot/object_graph.h"

namespace memspy::snapshot::testing {

struct Truth {
  std::vector<bool> alive;                   // reachable from a root
  std::vector<std::vector<bool>> dominates;  // [a][b]: every path to b runs through a
  std::vector<std::uint64_t> retained;
};
// `entries`: garbage is reached from these.
Truth brute_force(const ObjectGraph& graph, const std::vector<NodeIndex>& entries);

// Which garbage nodes refer to which, transitively: [a][b].
std::vector<std::vector<bool>> reaches(const ObjectGraph& graph);

}  // namespace memspy::snapshot::testing

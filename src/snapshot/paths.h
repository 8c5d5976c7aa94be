// Why is it alive: shortest named paths from the roots, of one object or merged over many.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "snapshot/analysis.h"
#include "snapshot/snapshot.h"

namespace memspy::snapshot {

struct PathStep {
  std::string edge;  // as typed: "app", ".CACHE", "['k']", "[3]", "<closure buf>", "local rows"
  NodeIndex node;
};
using Path = std::vector<PathStep>;  // root first; joined edges give what one would type

// The shortest path, from a module if there is one, else from the next kind of root in the order of
// RootKind; empty: garbage. Of paths through very long chains the middle is one step "…". The first
// question computes the paths of all nodes (0.1 s per million); the next ones cost their length.
Path shortest_path(const Snapshot& snapshot, NodeIndex node);
// Several, each through another referrer of the object; the one above first, then by root and
// length.
std::vector<Path> shortest_paths(const Snapshot& snapshot, NodeIndex node, std::size_t limit);

// Paths of many objects, merged by common prefix; indices and keys fall together as [*]. The
// result's own edge is empty, its children are roots ("garbage" for what has no path). What is
// reached through another of the objects, or deeper than 48 steps, is one step "…".
struct MergedPath {
  std::string edge;
  TypeIndex type;
  std::uint64_t count = 0;                // objects asked for below it
  std::uint64_t bytes = 0, retained = 0;  // of those; retained without double counting
  std::vector<MergedPath> children;       // by count, descending
};
MergedPath merge_paths(const Snapshot& snapshot, const Dominators& dominators,
                       std::span<const NodeIndex> nodes);

// An edge as source would write it; elided ones (an own __dict__) are empty.
std::string edge_text(const Snapshot& snapshot, EdgeLabel label);

}  // namespace memspy::snapshot

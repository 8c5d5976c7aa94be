// Everything that is computed from a graph once and read by every report: dominators, retained
// sizes, owners, garbage. Nothing here knows Python beyond the kinds of edges and roots.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "snapshot/object_graph.h"

namespace memspy::snapshot {

// idom[n]: the node that every path from the roots to n runs through last; kNoNode for the roots,
// for what several of them share, and for one object of each part of the garbage that no other
// garbage refers to. References from garbage to what is alive count for nothing.
struct Dominators {
  std::vector<std::uint32_t> idom;      // by node; kNoNode.value: the virtual root
  std::vector<std::uint64_t> retained;  // by node: bytes that would go with it
  std::vector<std::uint8_t> garbage;    // by node: 1: not reachable from any root
};

// Semi-NCA over strong edges, single-referrer leaves folded first; passes over all references are
// shared by threads. Takes up to 21 bytes for a node that is not folded, and 4 for each reference
// to what has several, besides the result.
Dominators compute_dominators(const ObjectGraph& graph);

struct TypeTotals {
  TypeIndex type;
  std::uint64_t count = 0, bytes = 0;
  std::uint64_t retained = 0;  // without double counting: only of instances with no instance of the
                               // same type above them in the dominator tree
};
// By type index, one each; types without an instance too.
std::vector<TypeTotals> totals_by_type(const ObjectGraph& graph, const Dominators& dominators);

// The nearest named holder on the dominator path: a module's global, a type's attribute, a closure
// or default of a function, a local of a frame, a root. Every node has exactly one owner, and the
// bytes add up to all. What has none is "garbage" or shared: "shared within django", "shared by
// several modules", "shared by modules and threads"…
struct OwnerTotals {
  std::string owner;  // "app.cache.SESSIONS", "function handler.<closure buf>", "garbage"…
  std::uint64_t count = 0, bytes = 0;
};
struct Owners {
  std::vector<OwnerTotals> owners;      // by bytes, descending
  std::vector<std::uint32_t> owner_of;  // by node: index into owners
};
Owners find_owners(const ObjectGraph& graph, const Dominators& dominators);

struct GarbageTotals {
  // What gc.collect() would free: tracked and unreachable, or hanging on something that is.
  std::uint64_t count = 0, bytes = 0;
  std::vector<TypeTotals> types;  // by bytes, descending; retained unused
  // Examples: the shortest cycle through an instance of a type, which it begins with; bounded, so
  // not every type has one.
  std::vector<std::vector<NodeIndex>> cycles;
  // Unreachable too, but unknown to the collector: something that memspy does not see holds it, or
  // leaked it.
  std::uint64_t untracked_count = 0, untracked_bytes = 0;
  // Unreachable too, but frozen, or hanging on what is: a collection does not look there.
  std::uint64_t frozen_count = 0, frozen_bytes = 0;
};
GarbageTotals find_garbage(const ObjectGraph& graph, const Dominators& dominators);

}  // namespace memspy::snapshot

// Everything that is computed from a graph once and read by every report: dominators, retained
// sizes, owners, garbage. Nothing here knows Python beyond the kinds of edges and roots.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "snapshot/object_graph.h"

namespace memspy::snapshot {

// Reachable from a root by strong edges? What is not is garbage that a collection would free
// (when it is tracked or hangs on something that is), computed without running one.
enum class Liveness : std::uint8_t { kReachable, kGarbage };

// idom[n]: the node that every path from the roots to n runs through last, kNoNode below the roots
// themselves; also kNoNode for garbage, which hangs below a root of its own.
struct Dominators {
  std::vector<std::uint32_t> idom;      // by node; kNoNode.value: the virtual root
  std::vector<std::uint64_t> retained;  // by node: bytes that would go with it
  std::vector<std::uint8_t> garbage;    // by node: 1: not reachable from any root
};

// Semi-NCA over strong edges, single-referrer leaves folded first. O(n) memory, see docs.
Dominators compute_dominators(const ObjectGraph& graph);

struct TypeTotals {
  TypeIndex type;
  std::uint64_t count = 0, bytes = 0;
  std::uint64_t retained = 0;  // without double counting: only of instances with no instance of the
                               // same type above them in the dominator tree
};
std::vector<TypeTotals> totals_by_type(const ObjectGraph& graph, const Dominators& dominators);

// The nearest named holder on the dominator path: a module's global, a type's attribute, a closure
// or default of a function, a local of a frame, a root. Every node has exactly one owner.
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
  std::uint64_t count = 0, bytes = 0;
  std::vector<TypeTotals> types;               // retained unused
  std::vector<std::vector<NodeIndex>> cycles;  // one example per type at its head, bounded
};
GarbageTotals find_garbage(const ObjectGraph& graph, const Dominators& dominators);

}  // namespace memspy::snapshot

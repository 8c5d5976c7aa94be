#include <algorithm>
#include <unordered_map>

#include "snapshot/analysis.h"
#include "snapshot/bits.h"

namespace memspy::snapshot {
namespace {

// A search for an example must not cost more than the answer is worth.
constexpr std::size_t kMaxExamples = 10;         // types
constexpr std::size_t kInstancesTried = 8;       // per type
constexpr std::size_t kMaxVisited = 20000;       // objects per instance
constexpr std::size_t kMaxEdgesLooked = 200000;  // references per instance

template <typename Visit>
void for_strong_targets(const ObjectGraph& graph, std::uint32_t n, Visit visit) {
  const auto targets = graph.targets({n});
  const auto labels = graph.labels({n});
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!labels[i].weak()) visit(targets[i]);
  }
}

// What the collector would find: tracked objects that nothing alive reaches, and what hangs on
// them.
NodeSet collectable(const ObjectGraph& graph, const Dominators& dominators) {
  NodeSet found(graph.node_count());
  std::vector<std::uint32_t> todo;
  const auto reach = [&](std::uint32_t n) {
    if (dominators.garbage[n] == 0 || found.contains(n)) return;
    found.add(n);
    todo.push_back(n);
  };
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
    if ((graph.flags({n}) & kNodeGcTracked) != 0) reach(n);
    while (!todo.empty()) {
      const std::uint32_t at = todo.back();
      todo.pop_back();
      for_strong_targets(graph, at, reach);
    }
  }
  return found;
}

// The shortest cycle through `start`, which it begins with; empty: none within the limits.
std::vector<NodeIndex> shortest_cycle(const ObjectGraph& graph, const NodeSet& garbage,
                                      std::uint32_t start) {
  std::unordered_map<std::uint32_t, std::uint32_t> came_from;
  std::vector<std::uint32_t> queue = {start};
  std::size_t looked = 0;
  for (std::size_t i = 0; i < queue.size() && queue.size() < kMaxVisited; ++i) {
    const auto targets = graph.targets({queue[i]});
    const auto labels = graph.labels({queue[i]});
    for (std::size_t e = 0; e < targets.size() && looked < kMaxEdgesLooked; ++e, ++looked) {
      if (labels[e].weak() || !garbage.contains(targets[e])) continue;
      if (targets[e] == start) {
        std::vector<NodeIndex> cycle;
        for (std::uint32_t at = queue[i]; at != start; at = came_from[at]) cycle.push_back({at});
        cycle.push_back({start});
        std::reverse(cycle.begin(), cycle.end());
        return cycle;
      }
      if (came_from.try_emplace(targets[e], queue[i]).second) queue.push_back(targets[e]);
    }
  }
  return {};
}

}  // namespace

GarbageTotals find_garbage(const ObjectGraph& graph, const Dominators& dominators) {
  GarbageTotals result;
  std::vector<TypeTotals> types(graph.types().size());
  std::vector<std::vector<std::uint32_t>> instances(types.size());
  const NodeSet found = collectable(graph, dominators);
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
    if (dominators.garbage[n] == 0) continue;
    if (!found.contains(n)) {
      ++result.untracked_count;
      result.untracked_bytes += graph.bytes({n});
      continue;
    }
    const TypeIndex type = graph.type({n});
    TypeTotals& totals = types[type.value];
    totals.type = type;
    ++totals.count;
    totals.bytes += graph.bytes({n});
    ++result.count;
    result.bytes += graph.bytes({n});
    if (instances[type.value].size() < kInstancesTried && (graph.flags({n}) & kNodeGcTracked) != 0)
      instances[type.value].push_back(n);
  }
  std::erase_if(types, [](const TypeTotals& t) { return t.count == 0; });
  std::sort(types.begin(), types.end(), [](const TypeTotals& a, const TypeTotals& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.type < b.type;
  });
  for (const auto& type : types) {
    if (result.cycles.size() == kMaxExamples) break;
    for (const std::uint32_t n : instances[type.type.value]) {
      auto cycle = shortest_cycle(graph, found, n);
      if (cycle.empty()) continue;
      result.cycles.push_back(std::move(cycle));
      break;
    }
  }
  result.types = std::move(types);
  return result;
}

}  // namespace memspy::snapshot

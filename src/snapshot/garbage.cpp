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

constexpr std::uint8_t kPermanent = 3;  // of the generation bits: gc.freeze() has put it there

bool tracked(const ObjectGraph& graph, std::uint32_t n) {
  return (graph.flags({n}) & kNodeGcTracked) != 0;
}
bool frozen(const ObjectGraph& graph, std::uint32_t n) {
  return tracked(graph, n) && (graph.flags({n}) >> kNodeGenerationShift & 3U) == kPermanent;
}

// Of the garbage, what these lead to, themselves included.
template <typename Begins>
NodeSet led_to(const ObjectGraph& graph, const Dominators& dominators, Begins begins) {
  NodeSet found(graph.node_count());
  std::vector<std::uint32_t> todo;
  const auto reach = [&](std::uint32_t n) {
    if (dominators.garbage[n] == 0 || found.contains(n)) return;
    found.add(n);
    todo.push_back(n);
  };
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
    if (dominators.garbage[n] != 0 && begins(n)) reach(n);
    while (!todo.empty()) {
      const std::uint32_t at = todo.back();
      todo.pop_back();
      for_strong_targets(graph, at, reach);
    }
  }
  return found;
}

// What the collector would find: tracked objects that nothing alive reaches, and what hangs on
// them. It does not look at frozen ones, so that what they lead to is alive to it.
struct Reach {
  NodeSet collectable, kept_by_frozen;
  bool frees(std::uint32_t n) const {
    return collectable.contains(n) && !kept_by_frozen.contains(n);
  }
};

// The shortest cycle through `start`, which it begins with; empty: none within the limits.
std::vector<NodeIndex> shortest_cycle(const ObjectGraph& graph, const Reach& garbage,
                                      std::uint32_t start) {
  std::unordered_map<std::uint32_t, std::uint32_t> came_from;
  std::vector<std::uint32_t> queue = {start};
  std::size_t looked = 0;
  for (std::size_t i = 0; i < queue.size() && queue.size() < kMaxVisited; ++i) {
    const auto targets = graph.targets({queue[i]});
    const auto labels = graph.labels({queue[i]});
    for (std::size_t e = 0; e < targets.size() && looked < kMaxEdgesLooked; ++e, ++looked) {
      if (labels[e].weak() || !garbage.frees(targets[e])) continue;
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

// Counts an object that no root leads to. True: a collection would free it.
bool count_one(const ObjectGraph& graph, const Reach& reach, std::uint32_t n,
               GarbageTotals& result) {
  const std::uint64_t bytes = graph.bytes({n});
  if (reach.frees(n)) {
    ++result.count;
    result.bytes += bytes;
    return true;
  }
  const bool kept = reach.kept_by_frozen.contains(n);
  ++(kept ? result.frozen_count : result.untracked_count);
  (kept ? result.frozen_bytes : result.untracked_bytes) += bytes;
  return false;
}

}  // namespace

GarbageTotals find_garbage(const ObjectGraph& graph, const Dominators& dominators) {
  GarbageTotals result;
  std::vector<TypeTotals> types(graph.types().size());
  std::vector<std::vector<std::uint32_t>> instances(types.size());
  const Reach reach{led_to(graph, dominators,
                           [&](std::uint32_t n) { return tracked(graph, n) && !frozen(graph, n); }),
                    led_to(graph, dominators, [&](std::uint32_t n) { return frozen(graph, n); })};
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
    if (dominators.garbage[n] == 0 || !count_one(graph, reach, n, result)) continue;
    const TypeIndex type = graph.type({n});
    TypeTotals& totals = types[type.value];
    totals.type = type;
    ++totals.count;
    totals.bytes += graph.bytes({n});
    if (instances[type.value].size() < kInstancesTried && tracked(graph, n))
      instances[type.value].push_back(n);
  }
  std::erase_if(types, [](const TypeTotals& t) { return t.count == 0; });
  std::sort(types.begin(), types.end(), [](const TypeTotals& a, const TypeTotals& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.type < b.type;
  });
  for (const auto& type : types) {
    if (result.cycles.size() == kMaxExamples) break;
    for (const std::uint32_t n : instances[type.type.value]) {
      auto cycle = shortest_cycle(graph, reach, n);
      if (cycle.empty()) continue;
      result.cycles.push_back(std::move(cycle));
      break;
    }
  }
  result.types = std::move(types);
  return result;
}

}  // namespace memspy::snapshot

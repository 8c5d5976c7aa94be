#include "brute_force.h"

namespace memspy::snapshot::testing {
namespace {

// Floods from `starts`, never through `without`, and never into what `forbidden` says.
std::vector<bool> flood(const ObjectGraph& graph, const std::vector<std::uint32_t>& starts,
                        std::uint32_t without, const std::vector<bool>& forbidden) {
  std::vector<bool> seen(graph.node_count());
  std::vector<std::uint32_t> todo;
  const auto reach = [&](std::uint32_t n) {
    if (n == without || seen[n] || (!forbidden.empty() && forbidden[n])) return;
    seen[n] = true;
    todo.push_back(n);
  };
  for (const auto start : starts) reach(start);
  while (!todo.empty()) {
    const NodeIndex n{todo.back()};
    todo.pop_back();
    for (std::size_t i = 0; i < graph.targets(n).size(); ++i) {
      if (!graph.labels(n)[i].weak()) reach(graph.targets(n)[i]);
    }
  }
  return seen;
}

}  // namespace

std::vector<std::vector<bool>> reaches(const ObjectGraph& graph) {
  std::vector<std::vector<bool>> result;
  for (std::uint32_t n = 0; n < graph.node_count(); ++n)
    result.push_back(flood(graph, {n}, kNoNode.value, {}));
  return result;
}

Truth brute_force(const ObjectGraph& graph, const std::vector<NodeIndex>& entries) {
  Truth truth;
  std::vector<std::uint32_t> roots, garbage_entries;
  for (const auto& root : graph.roots()) roots.push_back(root.to.value);
  for (const auto entry : entries) garbage_entries.push_back(entry.value);
  truth.alive = flood(graph, roots, kNoNode.value, {});
  for (std::uint32_t a = 0; a < graph.node_count(); ++a) {
    const auto alive = flood(graph, roots, a, {});
    const auto rest = flood(graph, garbage_entries, a, truth.alive);
    std::vector<bool> lost(graph.node_count());
    std::uint64_t retained = 0;
    for (std::uint32_t b = 0; b < graph.node_count(); ++b) {
      lost[b] = truth.alive[b] ? !alive[b] : !rest[b];
      if (truth.alive[a] != truth.alive[b]) lost[b] = false;
      if (lost[b]) retained += graph.bytes({b});
    }
    truth.dominates.push_back(lost);
    truth.retained.push_back(retained);
  }
  return truth;
}

}  // namespace memspy::snapshot::testing

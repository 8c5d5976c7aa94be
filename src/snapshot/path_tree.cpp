#include "snapshot/path_tree.h"

namespace memspy::snapshot {
namespace {

constexpr std::uint32_t kStepsAhead = 8;  // edges, for prefetching

}  // namespace

PathTree::PathTree(const ObjectGraph& graph) : steps_(graph.node_count()) {
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) steps_[n] = {};
  const auto begins = graph.edge_begins();
  const auto targets = graph.all_targets();
  const auto labels = graph.all_labels();
  const auto roots = graph.roots();
  Column<std::uint32_t> queue;
  std::size_t done = 0;
  for (auto kind = RootKind::kModule; kind <= RootKind::kNative;
       kind = static_cast<RootKind>(static_cast<int>(kind) + 1)) {
    for (std::uint32_t r = 0; r < roots.size(); ++r) {
      if (roots[r].kind != kind || steps_[roots[r].to.value].parent != kNotReached) continue;
      steps_[roots[r].to.value] = {kIsRoot, r};
      queue.push_back(roots[r].to.value);
    }
    for (; done < queue.size(); ++done) {
      const std::uint32_t n = queue[done];
      const std::uint32_t end = begins[n + 1];
      if (done + kStepsAhead < queue.size()) __builtin_prefetch(&begins[queue[done + kStepsAhead]]);
      for (std::uint32_t e = begins[n]; e < end; ++e) {
        if (e + kStepsAhead < end) __builtin_prefetch(&steps_[targets[e + kStepsAhead]], 1);
        Step& step = steps_[targets[e]];
        if (step.parent != kNotReached || labels[e].weak()) continue;
        step = {n, e};
        queue.push_back(targets[e]);
      }
    }
  }
}

const PathTree& PathCache::tree(const ObjectGraph& graph) {
  std::call_once(once_, [&] { tree_ = std::make_unique<PathTree>(graph); });
  return *tree_;
}

}  // namespace memspy::snapshot

#include "snapshot/dominator_numbering.h"

#include <algorithm>

#include "base/parallel.h"

namespace memspy::snapshot {
namespace {

using namespace node_state;

// In the parent's number of a node on the way of the search: nothing stands against folding it.
constexpr std::uint32_t kMayFold = 1U << 31;
// How many edges ahead a target's state is fetched: about the time one miss takes.
constexpr std::uint32_t kStatesAhead = 8;
// How many children of a node are fetched when the search comes to it.
constexpr std::uint32_t kChildrenFetched = 6;

}  // namespace

DominatorNumbering::DominatorNumbering(const ObjectGraph& graph, std::vector<std::uint32_t>& states,
                                       UnitSums& sums)
    : begins_(graph.edge_begins().data()),
      targets_(graph.all_targets().data()),
      labels_(graph.all_labels().data()),
      edge_count_(graph.edge_count()),
      node_count_(graph.node_count()),
      roots_(graph.roots()),
      states_(states),
      sums_(sums),
      has_weak_(node_count_),
      leads_on_(node_count_),
      tops_(node_count_),
      tree_edges_(static_cast<std::uint32_t>(edge_count_)),
      vertex_(std::size_t{node_count_} + 2),
      links_(std::size_t{node_count_} + 2) {
  vertex_[0] = kNoNode.value;
  find_sole_referrers();
  fold_leaves();
  number_roots();
  first_garbage_ = next_;
  number_garbage();
}

// Each worker looks at all edges, and sees those to its share of the nodes.
void DominatorNumbering::find_sole_referrers() {
  const unsigned workers = workers_for(node_count_);
  std::vector<NodeSet> leads_on;
  for (unsigned worker = 0; worker < workers; ++worker) leads_on.emplace_back(node_count_);
  in_parallel(workers, [&](unsigned worker) {
    find_sole_referrers(static_cast<std::uint32_t>(share_begin(node_count_, worker, workers)),
                        static_cast<std::uint32_t>(share_begin(node_count_, worker + 1, workers)),
                        leads_on[worker]);
  });
  for (const NodeSet& some : leads_on) leads_on_.add_all(some);
  for (const auto& root : roots_) tops_.add(root.to.value);
}

void DominatorNumbering::find_sole_referrers(std::uint32_t first, std::uint32_t end,
                                             NodeSet& leads_on) {
  std::fill(states_.begin() + first, states_.begin() + end, kUnseen);
  for (const auto& root : roots_) {
    if (root.to.value - first < end - first) states_[root.to.value] = kRoot;
  }
  for (std::uint32_t n = 0; n < node_count_; ++n) {
    for (std::uint32_t e = begins_[n]; e < begins_[n + 1]; ++e) {
      if (e + 2 * kStatesAhead < edge_count_ &&
          targets_[e + 2 * kStatesAhead] - first < end - first)
        __builtin_prefetch(&states_[targets_[e + 2 * kStatesAhead]], 1);
      if (labels_[e].weak()) {
        if (first == 0) has_weak_.add(n);
        continue;
      }
      const std::uint32_t target = targets_[e];
      if (target - first >= end - first || target == n) continue;
      std::uint32_t& state = states_[target];
      if (state == kRoot) continue;
      leads_on.add(n);
      if (state == kUnseen) {
        state = kSole | n;
      } else if (state != (kSole | n)) {
        state = kMany;
      }
    }
  }
}

// Nearly half of a heap: they need no visit of their own.
void DominatorNumbering::fold_leaves() {
  for (std::uint32_t n = 0; n < node_count_; ++n) {
    if (tag(states_[n]) != kSole || leads_on_.contains(n)) continue;
    const std::uint32_t referrer = states_[n] & kPayload;
    states_[n] = kFolded | referrer;
    sums_.fold(n, referrer);
  }
}

void DominatorNumbering::number_roots() {
  for (const auto& root : roots_) {
    if (states_[root.to.value] == kRoot) search(root.to.value);
  }
}

std::uint32_t DominatorNumbering::enter(std::uint32_t node, std::uint32_t parent) {
  const std::uint32_t number = next_++;
  // Below the virtual root nothing is folded: it has no node to be folded into.
  const bool may_fold = parent != 0 && tag(states_[node]) == kSole;
  if (parent == 0) tops_.add(node);
  states_[node] = kNumbered | number;
  vertex_[number] = node;
  links_[number] = {may_fold ? parent | kMayFold : parent, begins_[node]};
  fetch_targets(node);
  return number;
}

// The search waits for memory most of the time: what it needs of the children is on its way while
// the first of them is looked at.
void DominatorNumbering::fetch_targets(std::uint32_t node) const {
  const std::uint32_t begin = begins_[node];
  const std::uint32_t end = std::min(begins_[node + 1], begin + kChildrenFetched);
  for (std::uint32_t e = begin; e < end; ++e) {
    __builtin_prefetch(&states_[targets_[e]], 1);
    __builtin_prefetch(&begins_[targets_[e]]);
  }
}

// Goes on with the edges of `at`; false when none leads to a node that was not met before.
bool DominatorNumbering::descend(std::uint32_t& at) {
  const std::uint32_t node = vertex_[at];
  const std::uint32_t end = begins_[node + 1];
  for (std::uint32_t e = links_[at].label; e < end; ++e) {
    const std::uint32_t target = targets_[e];
    if (e + kStatesAhead < end) __builtin_prefetch(&states_[targets_[e + kStatesAhead]]);
    const std::uint32_t state = states_[target];
    if (tag(state) == kFolded || state == kRoot || is_weak(node, e)) continue;
    if (tag(state) == kNumbered) {
      if (state == at || tops_.contains(target)) continue;
      if (first_garbage_ != 0 && state < first_garbage_) continue;
      links_[at].parent &= ~kMayFold;
      continue;
    }
    if (e + 1 < end) __builtin_prefetch(&targets_[begins_[targets_[e + 1]]]);
    links_[at].label = e + 1;
    tree_edges_.add(e);
    at = enter(target, at);
    return true;
  }
  return false;
}

// Folds `at` if everything below it was folded; back to its parent.
std::uint32_t DominatorNumbering::leave(std::uint32_t at) {
  std::uint32_t& link = links_[at].parent;
  const std::uint32_t parent = link & ~kMayFold;
  if (link != parent) {
    const std::uint32_t node = vertex_[at];
    const std::uint32_t referrer = vertex_[parent];
    states_[node] = kFolded | referrer;
    sums_.fold(node, referrer);
    --next_;
  } else {
    links_[parent].parent &= ~kMayFold;
  }
  link = parent;
  return parent;
}

void DominatorNumbering::search(std::uint32_t start) {
  std::uint32_t at = enter(start, 0);
  while (at != 0) {
    if (!descend(at)) at = leave(at);
  }
}

void DominatorNumbering::number_garbage() {
  for (std::uint32_t n = 0; n < node_count_; ++n) {
    if (states_[n] == kUnseen) search(n);
  }
  // What is left is held by cycles. The node that finishes last in a search lies in a part that
  // nothing else reaches, and so does the last of those that are left when it is taken away.
  const auto order = garbage_by_finish();
  for (auto n = order.rbegin(); n != order.rend(); ++n) {
    if (tag(states_[*n]) == kSole || states_[*n] == kMany) search(*n);
  }
}

std::vector<std::uint32_t> DominatorNumbering::garbage_by_finish() {
  std::vector<std::uint32_t> order;
  NodeSet seen(node_count_);
  Column<std::uint64_t> path;  // node << 32 | edge
  const auto waits = [&](std::uint32_t n) {
    return (tag(states_[n]) == kSole || states_[n] == kMany) && !seen.contains(n);
  };
  const auto enter_node = [&](std::uint32_t n) {
    seen.add(n);
    path.push_back(std::uint64_t{n} << 32 | begins_[n]);
  };
  for (std::uint32_t start = 0; start < node_count_; ++start) {
    if (!waits(start)) continue;
    enter_node(start);
    while (!path.empty()) {
      const auto node = static_cast<std::uint32_t>(path.back() >> 32);
      const auto edge = static_cast<std::uint32_t>(path.back());
      if (edge == begins_[node + 1]) {
        order.push_back(node);
        path.pop_back();
        continue;
      }
      ++path.back();
      if (waits(targets_[edge]) && !is_weak(node, edge)) enter_node(targets_[edge]);
    }
  }
  return order;
}

// Visits the numbers of both ends of each reference to the nodes [first, end) that may make a
// difference, in order of the referrers. `soon`: a column by number that the visitor looks into.
template <typename Visit>
void DominatorNumbering::for_referrers(std::uint32_t first, std::uint32_t end,
                                       const std::uint32_t* soon, const Visit& visit) const {
  const auto mine = [&](std::uint32_t target) { return target - first < end - first; };
  for (std::uint32_t n = 0; n < node_count_; ++n) {
    const std::uint32_t from = states_[n];
    if (tag(from) != kNumbered) continue;
    for (std::uint32_t e = begins_[n]; e < begins_[n + 1]; ++e) {
      if (e + 4 * kStatesAhead < edge_count_) {
        if (const std::uint32_t later = targets_[e + 4 * kStatesAhead]; mine(later))
          __builtin_prefetch(&states_[later]);
        if (const std::uint32_t next = targets_[e + kStatesAhead]; mine(next))
          __builtin_prefetch(&soon[states_[next] & kPayload], 1);
      }
      if (!mine(targets_[e]) || tree_edges_.contains(e) || tops_.contains(targets_[e])) continue;
      const std::uint32_t to = states_[targets_[e]];
      if (tag(to) != kNumbered || to == from || is_weak(n, e)) continue;
      if (from >= first_garbage_ && to < first_garbage_) continue;
      visit(from, to);
    }
  }
}

DominatorNumbering::Referrers DominatorNumbering::take_referrers() {
  Referrers result;
  result.begins.resize(std::size_t{next_} + 1);
  std::uint32_t* const counts = result.begins.data();
  const unsigned workers = workers_for(node_count_);
  const auto share = [&](unsigned worker) {
    return static_cast<std::uint32_t>(share_begin(node_count_, worker, workers));
  };
  in_parallel(workers, [&](unsigned worker) {
    for_referrers(share(worker), share(worker + 1), counts,
                  [&](std::uint32_t, std::uint32_t to) { ++counts[to]; });
  });
  std::uint32_t sum = 0;
  for (std::uint32_t x = 0; x < next_; ++x) counts[x] = sum += counts[x];
  counts[next_] = sum;
  result.numbers.resize(sum);
  in_parallel(workers, [&](unsigned worker) {
    for_referrers(
        share(worker), share(worker + 1), counts,
        [&](std::uint32_t from, std::uint32_t to) { result.numbers[--counts[to]] = from; });
  });
  for (NodeSet* set : {&has_weak_, &leads_on_, &tops_, &tree_edges_}) *set = NodeSet(0);
  return result;
}

}  // namespace memspy::snapshot

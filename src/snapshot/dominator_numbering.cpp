#include "snapshot/dominator_numbering.h"

#include <algorithm>

namespace memspy::snapshot {
namespace {

using namespace node_state;

constexpr std::uint32_t kMayFold = 1U << 31;
// How many edges ahead a target's state is fetched: about the time one miss takes.
constexpr std::uint32_t kAhead = 8;

void set_bit(Column<std::uint64_t>& bits, std::uint32_t at) {
  bits[at >> 6] |= std::uint64_t{1} << (at & 63);
}
bool bit(const Column<std::uint64_t>& bits, std::uint32_t at) {
  return (bits[at >> 6] >> (at & 63) & 1) != 0;
}

}  // namespace

DominatorNumbering::DominatorNumbering(const ObjectGraph& graph, std::vector<std::uint32_t>& states,
                                       std::vector<std::uint64_t>& retained)
    : begins_(graph.edge_begins().data()),
      targets_(graph.all_targets().data()),
      labels_(graph.all_labels().data()),
      edge_count_(graph.edge_count()),
      node_count_(graph.node_count()),
      roots_(graph.roots()),
      states_(states),
      retained_(retained),
      has_weak_(node_count_ / 64 + 1),
      leads_on_(node_count_ / 64 + 1),
      vertex_(std::size_t{node_count_} + 2),
      links_(std::size_t{node_count_} + 2),
      counts_(std::size_t{node_count_} + 2) {
  vertex_[0] = kNoNode.value;
  find_sole_referrers();
  fold_leaves();
  number_roots();
  first_garbage_ = next_;
  number_garbage();
}

void DominatorNumbering::find_sole_referrers() {
  std::fill(states_.begin(), states_.end(), kUnseen);
  for (const auto& root : roots_) states_[root.to.value] = kRoot;
  for (std::uint32_t n = 0; n < node_count_; ++n) {
    bool leads_on = false;
    for (std::uint32_t e = begins_[n]; e < begins_[n + 1]; ++e) {
      if (e + 2 * kAhead < edge_count_) __builtin_prefetch(&states_[targets_[e + 2 * kAhead]], 1);
      if (labels_[e].weak()) {
        set_bit(has_weak_, n);
        continue;
      }
      const std::uint32_t target = targets_[e];
      std::uint32_t& state = states_[target];
      if (target == n || state == kRoot) continue;
      leads_on = true;
      if (state == kUnseen) {
        state = kSole | n;
      } else if (state != (kSole | n)) {
        state = kMany;
      }
    }
    if (leads_on) set_bit(leads_on_, n);
  }
}

// Nearly half of a heap: they need no visit of their own.
void DominatorNumbering::fold_leaves() {
  for (std::uint32_t n = 0; n < node_count_; ++n) {
    if (tag(states_[n]) != kSole || bit(leads_on_, n)) continue;
    const std::uint32_t referrer = states_[n] & kPayload;
    states_[n] = kFolded | referrer;
    retained_[referrer] += retained_[n];
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
  counts_[number] = parent != 0 && tag(states_[node]) == kSole ? kMayFold : 0;
  states_[node] = kNumbered | number;
  vertex_[number] = node;
  links_[number] = {parent, begins_[node]};
  return number;
}

// Goes on with the edges of `at`; false when none leads to a node that was not met before.
bool DominatorNumbering::descend(std::uint32_t& at) {
  const std::uint32_t node = vertex_[at];
  const std::uint32_t end = begins_[node + 1];
  for (std::uint32_t e = links_[at].label; e < end; ++e) {
    if (e + kAhead < end) __builtin_prefetch(&states_[targets_[e + kAhead]]);
    const std::uint32_t state = states_[targets_[e]];
    if (tag(state) == kFolded || state == kRoot || is_weak(node, e)) continue;
    if (tag(state) == kNumbered) {
      if (state == at || links_[state].parent == 0) continue;
      if (first_garbage_ != 0 && state < first_garbage_) continue;
      counts_[at] &= ~kMayFold;
      if (links_[state].parent != at) ++counts_[state];
      continue;
    }
    links_[at].label = e + 1;
    at = enter(targets_[e], at);
    return true;
  }
  return false;
}

// Folds `at` if everything below it was folded; back to its parent.
std::uint32_t DominatorNumbering::leave(std::uint32_t at) {
  const std::uint32_t parent = links_[at].parent;
  if ((counts_[at] & kMayFold) != 0) {
    const std::uint32_t node = vertex_[at];
    const std::uint32_t referrer = vertex_[parent];
    states_[node] = kFolded | referrer;
    retained_[referrer] += retained_[node];
    --next_;
  } else {
    counts_[parent] &= ~kMayFold;
  }
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
  Column<std::uint64_t> seen(node_count_ / 64 + 1);
  Column<std::uint64_t> path;  // node << 32 | edge
  const auto waits = [&](std::uint32_t n) {
    return (tag(states_[n]) == kSole || states_[n] == kMany) && !bit(seen, n);
  };
  const auto enter_node = [&](std::uint32_t n) {
    set_bit(seen, n);
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

DominatorNumbering::Referrers DominatorNumbering::take_referrers() {
  Referrers result;
  std::uint32_t sum = 0;
  for (std::uint32_t x = 0; x < next_; ++x) counts_[x] = sum += counts_[x] & ~kMayFold;
  counts_[next_] = sum;
  result.numbers.resize(sum);
  for (std::uint32_t n = 0; n < node_count_; ++n) {
    const std::uint32_t from = states_[n];
    if (tag(from) != kNumbered) continue;
    for (std::uint32_t e = begins_[n]; e < begins_[n + 1]; ++e) {
      if (e + 2 * kAhead < edge_count_) __builtin_prefetch(&states_[targets_[e + 2 * kAhead]]);
      const std::uint32_t to = states_[targets_[e]];
      if (tag(to) != kNumbered || to == from || is_weak(n, e)) continue;
      const std::uint32_t parent = links_[to].parent;
      if (parent == 0 || parent == from) continue;
      if (from >= first_garbage_ && to < first_garbage_) continue;
      result.numbers[--counts_[to]] = from;
    }
  }
  result.begins = std::move(counts_);
  has_weak_ = {};
  leads_on_ = {};
  return result;
}

}  // namespace memspy::snapshot

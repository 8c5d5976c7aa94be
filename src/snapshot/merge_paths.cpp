#include <algorithm>

#include "snapshot/bits.h"
#include "snapshot/holder_names.h"
#include "snapshot/path_tree.h"
#include "snapshot/paths.h"

namespace memspy::snapshot {
namespace {

// Deeper than this, and below another of the objects asked for of the same type, everything is one
// step "…": a chain of a million sessions is one fact.
constexpr std::uint32_t kMaxDepth = 48;

struct Key {
  std::uint32_t parent, edge, type;
  bool operator==(const Key&) const = default;
};
struct KeyHash {
  std::size_t operator()(const Key& k) const noexcept {
    std::uint64_t h = (std::uint64_t{k.parent} << 32 | k.edge) * 0x9e3779b97f4a7c15ULL;
    h = (h ^ (h >> 29) ^ k.type) * 0xbf58476d1ce4e5b9ULL;
    return h ^ (h >> 32);
  }
};

struct Merged {
  std::uint32_t parent = kNone;
  std::string edge;
  TypeIndex type;
  std::uint32_t depth = 0;
  bool elided = false;  // stands for everything below
  std::uint64_t count = 0, bytes = 0, retained = 0;
};

class Merger {
 public:
  Merger(const Snapshot& snapshot, const Dominators& dominators)
      : snapshot_(snapshot),
        graph_(snapshot.graph),
        dominators_(dominators),
        tree_(snapshot.path_cache->tree(snapshot.graph)),
        asked_(graph_.node_count()),
        place_(graph_.node_count()),
        covered_(graph_.node_count()) {
    merged_.emplace_back();
  }

  MergedPath run(std::span<const NodeIndex> nodes) {
    for (const NodeIndex n : nodes) asked_.add(n.value);
    NodeSet counted(graph_.node_count());
    for (const NodeIndex n : nodes) {
      if (counted.contains(n.value)) continue;
      counted.add(n.value);
      count(n);
    }
    return to_tree();
  }

 private:
  void count(NodeIndex n) {
    Merged& at = merged_[place(n)];
    ++at.count;
    at.bytes += graph_.bytes(n);
    if (!has_asked_above(n.value)) at.retained += dominators_.retained[n.value];
  }

  // Where a node stands among the merged ones; its whole path is placed on the way.
  std::uint32_t place(NodeIndex node) {
    std::vector<NodeIndex> path;
    std::uint32_t at = 0;
    for (NodeIndex up = node;; up = {tree_.step(up).parent}) {
      if (place_[up.value] != 0) {
        at = place_[up.value];
        below_asked_ = one_of_those(up, node);
        break;
      }
      path.push_back(up);
      if (tree_.step(up).parent >= PathTree::kIsRoot) {
        below_asked_ = false;
        break;
      }
    }
    for (auto n = path.rbegin(); n != path.rend(); ++n) {
      at = place_[n->value] = child(at, *n);
      below_asked_ = one_of_those(*n, node);
    }
    return at;
  }

  // Asked for as `node` is, and of its type: links of one chain. Of the largest objects, which are
  // of many types, one may hold another.
  bool one_of_those(NodeIndex above, NodeIndex node) const {
    return asked_.contains(above.value) && graph_.type(above).value == graph_.type(node).value;
  }

  std::uint32_t child(std::uint32_t parent, NodeIndex n) {
    if (merged_[parent].elided) return parent;
    const bool elide = below_asked_ || merged_[parent].depth >= kMaxDepth;
    const Key key{parent, elide ? kNone : edge_key(n), elide ? kNone : graph_.type(n).value};
    const auto [at, added] = children_.try_emplace(key, static_cast<std::uint32_t>(merged_.size()));
    if (added) {
      Merged merged;
      merged.parent = parent;
      merged.edge = elide ? "…" : edge_of(n);
      merged.type = graph_.type(n);
      merged.depth = merged_[parent].depth + 1;
      merged.elided = elide;
      merged_.push_back(std::move(merged));
    }
    return at->second;
  }

  // What edges must have in common to fall together: the kind, and the name where it is one.
  std::uint32_t edge_key(NodeIndex n) const {
    const auto& step = tree_.step(n);
    if (step.parent == PathTree::kNotReached) return kNone - 1;
    if (step.parent == PathTree::kIsRoot) return graph_.roots()[step.edge].name.value << 5 | 31;
    EdgeLabel label = graph_.all_labels()[step.edge];
    if (folds(label.kind())) label = EdgeLabel::of(EdgeKind::kIndex, false, 0);
    if (label.kind() == EdgeKind::kKeyItself) label = EdgeLabel::of(label.kind(), false, 0);
    return label.bits;
  }

  static bool folds(EdgeKind kind) { return kind == EdgeKind::kIndex || kind == EdgeKind::kKey; }

  std::string edge_of(NodeIndex n) const {
    const auto& step = tree_.step(n);
    if (step.parent == PathTree::kNotReached) return "garbage";
    if (step.parent == PathTree::kIsRoot) return root_text(graph_, graph_.roots()[step.edge]);
    const EdgeLabel label = graph_.all_labels()[step.edge];
    if (folds(label.kind())) return "[*]";
    if (label.kind() == EdgeKind::kKeyItself) return "<key>";
    return edge_text(snapshot_, label);
  }

  // Is something that was asked for above it in the dominator tree? What is learnt on the way up is
  // kept, so that a chain is walked once.
  bool has_asked_above(std::uint32_t node) {
    constexpr std::uint8_t kNo = 1, kYes = 2;
    std::vector<std::uint32_t> path;
    std::uint32_t at = node;
    while (at != kNone && covered_[at] == 0) {
      path.push_back(at);
      at = dominators_.idom[at];
    }
    bool covered = at != kNone && (covered_[at] == kYes || asked_.contains(at));
    for (auto n = path.rbegin(); n != path.rend(); ++n) {
      covered_[*n] = covered ? kYes : kNo;
      covered = covered || asked_.contains(*n);
    }
    return covered_[node] == kYes;
  }

  MergedPath to_tree() {
    // A child's index is higher than its parent's: sums go up, then trees are tied from the end.
    for (std::size_t i = merged_.size() - 1; i != 0; --i) {
      Merged& up = merged_[merged_[i].parent];
      up.count += merged_[i].count;
      up.bytes += merged_[i].bytes;
      up.retained += merged_[i].retained;
    }
    std::vector<MergedPath> trees(merged_.size());
    for (std::size_t i = merged_.size(); i-- != 0;) {
      Merged& from = merged_[i];
      MergedPath& tree = trees[i];
      tree.edge = std::move(from.edge);
      tree.type = from.type;
      tree.count = from.count;
      tree.bytes = from.bytes;
      tree.retained = from.retained;
      std::sort(tree.children.begin(), tree.children.end(),
                [](const MergedPath& a, const MergedPath& b) {
                  return a.count != b.count ? a.count > b.count : a.edge < b.edge;
                });
      if (i != 0) trees[from.parent].children.push_back(std::move(tree));
    }
    return std::move(trees[0]);
  }

  const Snapshot& snapshot_;
  const ObjectGraph& graph_;
  const Dominators& dominators_;
  const PathTree& tree_;
  NodeSet asked_;
  Column<std::uint32_t> place_;   // by node: index among the merged, 0: none yet
  Column<std::uint8_t> covered_;  // by node: 0 not known, 1 nothing asked for above, 2 something
  std::vector<Merged> merged_;
  std::unordered_map<Key, std::uint32_t, KeyHash> children_;
  bool below_asked_ = false;
};

}  // namespace

MergedPath merge_paths(const Snapshot& snapshot, const Dominators& dominators,
                       std::span<const NodeIndex> nodes) {
  return Merger(snapshot, dominators).run(nodes);
}

}  // namespace memspy::snapshot

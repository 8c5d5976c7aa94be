#include "snapshot/paths.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "snapshot/holder_names.h"
#include "snapshot/path_tree.h"

namespace memspy::snapshot {
namespace {

// A list of a million links is a path of a million steps: of those the ends are kept.
constexpr std::size_t kKeptAtEachEnd = 64;
// Of an object that everything refers to, so many references are looked at for further paths.
constexpr std::size_t kMaxReferrers = 4096;
constexpr std::size_t kMaxStepsWalked = 4U << 20;

bool is_identifier(std::string_view text) {
  return !text.empty() && (text[0] < '0' || text[0] > '9') &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                  (c >= 'A' && c <= 'Z') || c >= 0x80;
         });
}

// A key as it is written between brackets: its text where that is known, else its type.
std::string key_text(const Snapshot& snapshot, EdgeLabel label) {
  const std::uint32_t key = label.value();
  if (const auto text = snapshot.texts.find(key); text != snapshot.texts.end()) return text->second;
  if (key >= snapshot.graph.node_count()) return "…";
  std::string_view type = snapshot.graph.type_name({key});
  if (type.starts_with("builtins.")) type.remove_prefix(9);
  return fmt::format("<{}>", type);
}

// Of an own dict that the walk told as any other: the quotes of a name go, and a dot comes.
std::string edge_after_dict(const Snapshot& snapshot, EdgeLabel label) {
  if (label.kind() == EdgeKind::kKey) {
    const auto text = snapshot.texts.find(label.value());
    if (text != snapshot.texts.end() && text->second.size() > 2) {
      const auto inner = std::string_view(text->second).substr(1, text->second.size() - 2);
      if (is_identifier(inner)) return fmt::format(".{}", inner);
    }
  }
  return edge_text(snapshot, label);
}

const PathTree& tree_of(const Snapshot& snapshot) {
  return snapshot.path_cache->tree(snapshot.graph);
}

// Nodes from a root to `node`, or nothing.
std::vector<NodeIndex> chain_of(const PathTree& tree, NodeIndex node) {
  std::vector<NodeIndex> chain;
  while (tree.step(node).parent < PathTree::kIsRoot) {
    chain.push_back(node);
    node = {tree.step(node).parent};
  }
  if (tree.step(node).parent == PathTree::kNotReached) return {};
  chain.push_back(node);
  std::reverse(chain.begin(), chain.end());
  return chain;
}

Path path_of_chain(const Snapshot& snapshot, const std::vector<NodeIndex>& chain) {
  const PathTree& tree = tree_of(snapshot);
  const auto labels = snapshot.graph.all_labels();
  Path path;
  bool after_dict = false;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const auto& step = tree.step(chain[i]);
    if (i == 0) {
      path.push_back({root_text(snapshot.graph, snapshot.graph.roots()[step.edge]), chain[0]});
      continue;
    }
    if (chain.size() > 2 * kKeptAtEachEnd && i == kKeptAtEachEnd) {
      path.push_back({"…", chain[chain.size() - kKeptAtEachEnd - 1]});
      i = chain.size() - kKeptAtEachEnd - 1;
      after_dict = false;
      continue;
    }
    const EdgeLabel label = labels[step.edge];
    path.push_back(
        {after_dict ? edge_after_dict(snapshot, label) : edge_text(snapshot, label), chain[i]});
    after_dict = label.kind() == EdgeKind::kDict;
  }
  return path;
}

// Who refers to `node`, by a strong edge, once each with that edge's label.
struct Referrer {
  NodeIndex from;
  EdgeLabel label;
};
std::vector<Referrer> referrers_of(const ObjectGraph& graph, NodeIndex node) {
  const auto targets = graph.all_targets();
  const auto labels = graph.all_labels();
  const auto begins = graph.edge_begins();
  std::vector<Referrer> found;
  for (std::uint32_t e = 0; e < targets.size() && found.size() < kMaxReferrers; ++e) {
    if (targets[e] != node.value || labels[e].weak()) continue;
    const auto next = std::upper_bound(begins.begin(), begins.end(), e);
    const NodeIndex from{static_cast<std::uint32_t>(next - begins.begin() - 1)};
    if (from == node || (!found.empty() && found.back().from == from)) continue;
    found.push_back({from, labels[e]});
  }
  return found;
}

struct Candidate {
  RootKind root;
  std::vector<NodeIndex> chain;  // to the referrer
  EdgeLabel last;
};

}  // namespace

std::string edge_text(const Snapshot& snapshot, EdgeLabel label) {
  const auto name = [&] { return snapshot.graph.name({label.value()}); };
  switch (label.kind()) {
    case EdgeKind::kAttribute:
      return fmt::format(".{}", name());
    case EdgeKind::kIndex:
      return label.value() == EdgeLabel::kValueCap ? "[…]" : fmt::format("[{}]", label.value());
    case EdgeKind::kKey:
      return fmt::format("[{}]", key_text(snapshot, label));
    case EdgeKind::kKeyItself:
      return fmt::format("<key {}>", key_text(snapshot, label));
    case EdgeKind::kMember:
      return "<member>";
    case EdgeKind::kClosure:
      return fmt::format("<closure {}>", name());
    case EdgeKind::kLocal:
      return fmt::format("local {}", name());
    case EdgeKind::kInternal:
      return fmt::format("<{}>", name());
    case EdgeKind::kDict:
    case EdgeKind::kContents:
      return {};
    case EdgeKind::kWord:
      return fmt::format("<+{:#x}>", label.value());
  }
  return "<?>";
}

Path shortest_path(const Snapshot& snapshot, NodeIndex node) {
  return path_of_chain(snapshot, chain_of(tree_of(snapshot), node));
}

std::vector<Path> shortest_paths(const Snapshot& snapshot, NodeIndex node, std::size_t limit) {
  const PathTree& tree = tree_of(snapshot);
  const auto roots = snapshot.graph.roots();
  if (tree.step(node).parent == PathTree::kNotReached || limit == 0) return {};
  const auto best = chain_of(tree, node);
  std::vector<Path> paths = {path_of_chain(snapshot, best)};
  std::vector<Candidate> others;
  std::size_t walked = 0;
  for (const auto& [from, label] : referrers_of(snapshot.graph, node)) {
    if (tree.step(from).parent == PathTree::kNotReached || walked > kMaxStepsWalked) continue;
    if (best.size() > 1 && from == best[best.size() - 2]) continue;
    auto chain = chain_of(tree, from);
    walked += chain.size();
    // What is reached only through the object itself does not hold it.
    if (std::find(chain.begin(), chain.end(), node) != chain.end()) continue;
    const RootKind kind = roots[tree.step(chain[0]).edge].kind;
    others.push_back({kind, std::move(chain), label});
  }
  std::stable_sort(others.begin(), others.end(), [](const Candidate& a, const Candidate& b) {
    return a.root != b.root ? a.root < b.root : a.chain.size() < b.chain.size();
  });
  for (const auto& other : others) {
    if (paths.size() >= limit) break;
    paths.push_back(path_of_chain(snapshot, other.chain));
    const NodeIndex from = other.chain.back();
    const PathTree::Step& step = tree.step(from);
    const bool own_dict = step.parent < PathTree::kIsRoot &&
                          snapshot.graph.all_labels()[step.edge].kind() == EdgeKind::kDict;
    paths.back().push_back(
        {own_dict ? edge_after_dict(snapshot, other.last) : edge_text(snapshot, other.last), node});
  }
  return paths;
}

}  // namespace memspy::snapshot

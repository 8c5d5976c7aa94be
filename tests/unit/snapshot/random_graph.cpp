#include "random_graph.h"

#include <algorithm>
#include <cstdlib>

namespace memspy::snapshot::testing {

NodeIndex GraphScript::node(std::uint32_t type, std::uint64_t bytes, std::uint8_t flags) {
  const NodeIndex index{static_cast<std::uint32_t>(nodes_.size())};
  nodes_.push_back({address_of(index), TypeIndex{type}, flags, bytes});
  edges_.emplace_back();
  while (types_.size() <= type) {
    types_.push_back(
        {RemoteAddr{0x1000 + types_.size() * 16}, "app.T" + std::to_string(types_.size()), true});
  }
  return index;
}

void GraphScript::edge(NodeIndex from, NodeIndex to, EdgeKind kind, std::uint32_t value,
                       bool weak) {
  edges_[from.value].list.push_back({to, kind, weak, value});
}

void GraphScript::named(NodeIndex from, NodeIndex to, EdgeKind kind, const std::string& text) {
  edge(from, to, kind, name(text).value);
}

void GraphScript::root(NodeIndex to, RootKind kind, const std::string& text) {
  roots_.push_back({to, kind, name(text)});
}

void GraphScript::label(NodeIndex node, const std::string& text) {
  labels_.push_back({node, name(text)});
}

void GraphScript::type_of(std::uint32_t type, const std::string& text, NodeIndex node) {
  while (types_.size() <= type)
    types_.push_back({RemoteAddr{0x1000 + types_.size() * 16}, "", true});
  types_[type].name = text;
  if (node != kNoNode) types_[type].address = address_of(node);
}

NameIndex GraphScript::name(const std::string& text) {
  const auto at = std::find(names_.begin(), names_.end(), text);
  const auto index = static_cast<std::uint32_t>(at - names_.begin());
  if (at == names_.end()) names_.push_back(text);
  return {index};
}

void GraphScript::tell(ObjectVisitor& visitor) const {
  for (std::uint32_t i = 1; i < names_.size(); ++i) visitor.on_name({i}, names_[i]);
  visitor.on_types(types_);
  visitor.on_objects(nodes_);
  for (std::uint32_t n = 0; n < nodes_.size(); ++n) {
    if (!edges_[n].list.empty()) visitor.on_edges({n}, edges_[n].list);
  }
  auto labels = labels_;
  std::sort(labels.begin(), labels.end(),
            [](const HeapLabel& a, const HeapLabel& b) { return a.node < b.node; });
  if (!labels.empty()) visitor.on_labels(labels);
  visitor.on_roots(roots_);
}

ObjectGraph GraphScript::build() const {
  GraphBuilder builder;
  tell(builder);
  auto graph = builder.finish();
  if (!graph.has_value()) std::abort();
  return std::move(graph).value();
}

GraphScript random_graph(std::uint64_t seed, std::uint32_t max_nodes) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t bound) {
    return static_cast<std::uint32_t>(random() % bound);
  };
  GraphScript script;
  const std::uint32_t count = 1 + below(max_nodes);
  const std::uint32_t types = 1 + below(4);
  for (std::uint32_t n = 0; n < count; ++n)
    script.node(below(types), 8 * (1 + below(20)), below(4) != 0 ? kNodeGcTracked : 0);
  // A forest first, so that much has one referrer, as in a heap; then edges anywhere.
  const std::uint32_t tree_share = below(5);
  for (std::uint32_t n = 1; n < count; ++n) {
    if (below(4) < tree_share) script.edge({below(n)}, {n}, EdgeKind::kIndex, below(9));
  }
  const std::uint32_t extra = below(count * (1 + below(3)) + 1);
  for (std::uint32_t i = 0; i < extra; ++i)
    script.edge({below(count)}, {below(count)}, EdgeKind::kIndex, below(9), below(8) == 0);
  const std::uint32_t roots = below(4);
  for (std::uint32_t i = 0; i < roots; ++i)
    script.root({below(below(2) == 0 ? count : std::min(count, 3U))},
                static_cast<RootKind>(below(7)), "root" + std::to_string(i));
  return script;
}

}  // namespace memspy::snapshot::testing

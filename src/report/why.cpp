#include "report/why.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/digits.h"
#include "report/heap_text.h"

namespace memspy::report {
namespace {

using snapshot::Look;
using snapshot::MergedPath;
using snapshot::ObjectGraph;
using snapshot::Path;

constexpr std::size_t kCandidates = 8;  // named in an error
// Steps of a tree: a path through a linked list may have a million, and trees are walked
// recursively.
constexpr std::size_t kDeepest = 200;

WhyNode node_of(const Look& look, const std::string& edge, NodeIndex node) {
  WhyNode step;
  step.edge = edge;
  step.type = look.snapshot->graph.type_name(node);
  step.address = look.snapshot->graph.address(node);
  step.count = 1;
  step.bytes = look.snapshot->graph.bytes(node);
  step.retained = look.dominators->retained[node.value];
  return step;
}

// Paths of one object, together as far as they run alike.
void merge_into(WhyNode& root, const Look& look, const Path& path) {
  WhyNode* at = &root;
  for (const auto& [edge, node] : std::span(path).first(std::min(path.size(), kDeepest))) {
    const RemoteAddr address = look.snapshot->graph.address(node);
    const auto same = std::find_if(at->children.begin(), at->children.end(), [&](const WhyNode& c) {
      return c.address == address && c.edge == edge;
    });
    if (same != at->children.end()) {
      at = &*same;
      continue;
    }
    at->children.push_back(node_of(look, edge, node));
    at = &at->children.back();
  }
}

WhyNode from_merged(const ObjectGraph& graph, const MergedPath& merged, std::size_t depth = 0) {
  WhyNode node;
  node.edge = merged.edge;
  if (merged.type.value < graph.types().size()) node.type = graph.types()[merged.type.value].name;
  node.count = merged.count;
  node.bytes = merged.bytes;
  node.retained = merged.retained;
  if (depth >= kDeepest) return node;
  node.children.reserve(merged.children.size());
  for (const MergedPath& child : merged.children)
    node.children.push_back(from_merged(graph, child, depth + 1));
  return node;
}

// Bytes that would go with all of them, each counted once: an instance below another one is part
// of that one's.
std::uint64_t retained_together(const Look& look, std::span<const NodeIndex> nodes) {
  const auto& idom = look.dominators->idom;
  std::vector<bool> asked(idom.size(), false);
  for (const NodeIndex node : nodes) asked[node.value] = true;
  // What was learnt on the way up: 1 nothing asked for above, 2 something.
  std::vector<std::uint8_t> above(idom.size(), 0);
  std::vector<std::uint32_t> climbed;
  std::uint64_t sum = 0;
  for (const NodeIndex node : nodes) {
    std::uint32_t at = node.value;
    climbed.clear();
    while (at != kNoNode.value && above[at] == 0) {
      climbed.push_back(at);
      at = idom[at];
    }
    bool covered = at != kNoNode.value && (above[at] == 2 || asked[at]);
    for (auto it = climbed.rbegin(); it != climbed.rend(); ++it) {
      above[*it] = covered ? 2 : 1;
      covered = covered || asked[*it];
    }
    if (above[node.value] == 1) sum += look.dominators->retained[node.value];
  }
  return sum;
}

// Keys have texts only where somebody asked for them: the paths say for which.
std::vector<Path> paths_with_texts(const Look& look, NodeIndex node, std::size_t limit,
                                   const ReadTexts& read_texts) {
  std::vector<Path> paths = shortest_paths(*look.snapshot, node, limit);
  const auto keys = keys_on_paths(look.snapshot->graph, paths);
  if (keys.empty() || !read_texts) return paths;
  read_texts(keys);
  return shortest_paths(*look.snapshot, node, limit);
}

bool ends_like(std::string_view name, std::string_view end) {
  return name.size() > end.size() && name.ends_with(end) &&
         name[name.size() - end.size() - 1] == '.';
}

Error no_such_type(const ObjectGraph& graph, std::string_view name,
                   const std::vector<std::string_view>& matches) {
  Error error = make_error(
      Errc::kInternal, matches.empty() ? fmt::format("there is no type \"{}\" in this heap", name)
                                       : fmt::format("\"{}\" names several types", name));
  std::vector<std::string_view> near = matches;
  for (const HeapType& type : graph.types()) {
    if (near.size() >= kCandidates || !matches.empty()) break;
    const std::size_t dot = name.rfind('.');
    const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
    if (!last.empty() && type.name.find(last) != std::string::npos) near.push_back(type.name);
  }
  std::string list;
  for (const std::string_view type : near) list += (list.empty() ? "" : ", ") + std::string(type);
  if (!list.empty()) error.why = "there are " + list;
  error.hint = "memspy heap lists the types; a type is written as there";
  return error;
}

}  // namespace

Why explain_object(const Look& look, NodeIndex node, std::size_t path_limit,
                   const ReadTexts& read_texts) {
  Why why;
  why.example = node;
  why.count = 1;
  why.bytes = look.snapshot->graph.bytes(node);
  why.retained = look.dominators->retained[node.value];
  why.subject = fmt::format("{} at {}", look.snapshot->graph.type_name(node),
                            address_text(look.snapshot->graph.address(node)));
  why.paths = paths_with_texts(look, node, path_limit, read_texts);
  why.tree.count = 1;
  for (const Path& path : why.paths) merge_into(why.tree, look, path);
  return why;
}

Why explain_objects(const Look& look, std::span<const NodeIndex> nodes, const std::string& subject,
                    std::size_t path_limit, const ReadTexts& read_texts) {
  const auto& retained = look.dominators->retained;
  const NodeIndex largest = *std::max_element(
      nodes.begin(), nodes.end(),
      [&](NodeIndex a, NodeIndex b) { return retained[a.value] < retained[b.value]; });
  if (nodes.size() == 1) return explain_object(look, largest, path_limit, read_texts);
  Why why;
  why.example = largest;
  why.count = nodes.size();
  for (const NodeIndex node : nodes) why.bytes += look.snapshot->graph.bytes(node);
  why.retained = retained_together(look, nodes);
  why.subject = fmt::format("{} {}", grouped_digits(why.count), subject);
  why.paths = paths_with_texts(look, largest, 1, read_texts);
  why.tree =
      from_merged(look.snapshot->graph, merge_paths(*look.snapshot, *look.dominators, nodes));
  return why;
}

Result<std::vector<TypeIndex>> find_types(const ObjectGraph& graph, std::string_view name) {
  std::vector<std::string_view> ends;
  std::vector<TypeIndex> whole, by_end;
  for (std::uint32_t i = 0; i < graph.types().size(); ++i) {
    const std::string& type = graph.types()[i].name;
    if (type == name) whole.push_back({i});
    if (!ends_like(type, name)) continue;
    by_end.push_back({i});
    if (std::find(ends.begin(), ends.end(), type) == ends.end()) ends.push_back(type);
  }
  if (!whole.empty()) return whole;
  if (ends.size() == 1) return by_end;
  return no_such_type(graph, name, ends);
}

std::vector<NodeIndex> instances_of(const ObjectGraph& graph, std::span<const TypeIndex> types) {
  std::vector<bool> wanted(graph.types().size(), false);
  for (const TypeIndex type : types) wanted[type.value] = true;
  std::vector<NodeIndex> nodes;
  for (std::uint32_t i = 0; i < graph.node_count(); ++i)
    if (wanted[graph.type(NodeIndex{i}).value]) nodes.push_back(NodeIndex{i});
  return nodes;
}

std::vector<NodeIndex> keys_on_paths(const ObjectGraph& graph, std::span<const Path> paths) {
  std::vector<NodeIndex> keys;
  for (const Path& path : paths) {
    for (std::size_t i = 1; i < path.size(); ++i) {
      const auto targets = graph.targets(path[i - 1].node);
      const auto labels = graph.labels(path[i - 1].node);
      for (std::size_t e = 0; e < targets.size(); ++e) {
        if (targets[e] != path[i].node.value) continue;
        const EdgeKind kind = labels[e].kind();
        if (kind != EdgeKind::kKey && kind != EdgeKind::kKeyItself) continue;
        if (labels[e].value() < graph.node_count()) keys.push_back({labels[e].value()});
      }
    }
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

std::string expression(const Path& path) {
  if (path.empty()) return "garbage";
  std::string text;
  for (const auto& [edge, node] : path) {
    if (edge.empty()) continue;
    const bool joined = text.empty() || edge[0] == '.' || edge[0] == '[';
    if (!joined) text += edge[0] == '<' ? "." : " ";
    text += edge;
  }
  return text;
}

std::string expression_of(const snapshot::Snapshot& snapshot, NodeIndex node) {
  return expression(shortest_path(snapshot, node));
}

}  // namespace memspy::report

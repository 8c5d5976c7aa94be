#include "heap/gc_summary.h"

#include <array>
#include <optional>
#include <string_view>

namespace memspy::heap {
namespace {

using snapshot::ObjectGraph;

constexpr std::size_t kPermanent = 3;  // of the generation bits of a node

// The target of the first reference of this kind (and name, if any).
std::optional<NodeIndex> follow(const ObjectGraph& graph, NodeIndex from, EdgeKind kind,
                                std::string_view name = "") {
  const auto targets = graph.targets(from);
  const auto labels = graph.labels(from);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (labels[i].kind() != kind) continue;
    if (name.empty() || graph.name(NameIndex{labels[i].value()}) == name)
      return NodeIndex{targets[i]};
  }
  return std::nullopt;
}

// gc.garbage, by its name: the list's place is nowhere published.
std::vector<NodeIndex> garbage_list(const ObjectGraph& graph) {
  for (const HeapRoot& root : graph.roots()) {
    if (root.kind != RootKind::kModule || graph.name(root.name) != "gc") continue;
    const auto dict = follow(graph, root.to, EdgeKind::kDict);
    const auto list = dict ? follow(graph, *dict, EdgeKind::kAttribute, "garbage") : std::nullopt;
    if (!list) continue;
    std::vector<NodeIndex> kept;
    const auto targets = graph.targets(*list);
    const auto labels = graph.labels(*list);
    for (std::size_t i = 0; i < targets.size(); ++i)
      if (labels[i].kind() == EdgeKind::kIndex) kept.push_back(NodeIndex{targets[i]});
    return kept;
  }
  return {};
}

}  // namespace

std::vector<snapshot::GcSummary> summarize_gc(const cpython::Interpreter& interpreter,
                                              const MemoryReader& memory,
                                              const ObjectGraph& graph) {
  std::vector<snapshot::GcSummary> summaries;
  const auto states = interpreter.gc_states(memory);
  if (!states.has_value()) return summaries;
  std::array<std::uint64_t, kPermanent + 1> objects{};
  for (std::uint32_t i = 0; i < graph.node_count(); ++i) {
    const std::uint8_t flags = graph.flags(NodeIndex{i});
    if ((flags & kNodeGcTracked) != 0) ++objects[flags >> kNodeGenerationShift & 3U];
  }
  for (const cpython::GcState& state : *states) {
    snapshot::GcSummary summary;
    summary.interpreter_id = state.interpreter_id;
    summary.enabled = state.enabled;
    summary.collecting = state.collecting;
    const bool first = summaries.empty();
    for (std::size_t i = 0; i < std::size(state.generations); ++i) {
      const auto& g = state.generations[i];
      summary.generations.push_back({g.threshold, g.count, g.collections, g.collected,
                                     g.uncollectable, first ? objects[i] : 0});
    }
    if (first) {
      summary.frozen = objects[kPermanent];
      summary.garbage_list = garbage_list(graph);
    }
    summaries.push_back(std::move(summary));
  }
  return summaries;
}

}  // namespace memspy::heap

#include <cstring>

#include <spdlog/fmt/fmt.h>

#include "base/column.h"
#include "snapshot/snapshot_sections.h"

namespace memspy::snapshot {
namespace {

// A section's bytes as values; `why` says when they are not.
template <typename T>
std::span<const T> values_of(SectionSource& source, SectionId id, std::string& why) {
  std::string reason;
  const auto bytes = source.section(id, sizeof(T), reason);
  if (reason.empty() && bytes.size() % sizeof(T) != 0) reason = "is cut inside a value";
  if (!reason.empty()) {
    why += fmt::format("{}{} {}", why.empty() ? "" : "; ", section_name(id), reason);
    return {};
  }
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <typename T>
std::vector<T> copied(std::span<const T> values) {
  return {values.begin(), values.end()};
}

}  // namespace

const char* section_name(SectionId id) {
  switch (id) {
    case SectionId::kInfo:
      return "info";
    case SectionId::kTypes:
      return "types";
    case SectionId::kNames:
      return "names";
    case SectionId::kAddresses:
      return "addresses";
    case SectionId::kSegments:
      return "segments";
    case SectionId::kKinds:
      return "kinds";
    case SectionId::kSizes:
      return "sizes";
    case SectionId::kBigSizes:
      return "big sizes";
    case SectionId::kEdgeBegins:
      return "edge begins";
    case SectionId::kEdgeTargets:
      return "edge targets";
    case SectionId::kEdgeLabels:
      return "edge labels";
    case SectionId::kNodeLabels:
      return "node labels";
    case SectionId::kRoots:
      return "roots";
    case SectionId::kTexts:
      return "texts";
    case SectionId::kIdom:
      return "dominators";
    case SectionId::kRetained:
      return "retained sizes";
    case SectionId::kGarbage:
      return "garbage";
    case SectionId::kStringMarks:
      return "string marks";
  }
  return "unknown";
}

std::vector<GraphSections::Column> GraphSections::columns_of(const ObjectGraph& graph) {
  const auto column = [](SectionId id, auto values) {
    return Column{id, sizeof(typename decltype(values)::value_type), std::as_bytes(values)};
  };
  return {column(SectionId::kAddresses, graph.low_addresses_),
          column(SectionId::kSegments, std::span(graph.segments_)),
          column(SectionId::kKinds, graph.kinds_),
          column(SectionId::kSizes, graph.sizes_),
          column(SectionId::kBigSizes, std::span(graph.big_sizes_)),
          column(SectionId::kEdgeBegins, graph.begins_),
          column(SectionId::kEdgeTargets, graph.targets_),
          column(SectionId::kEdgeLabels, graph.labels_),
          column(SectionId::kNodeLabels, std::span(graph.node_labels_))};
}

std::string GraphSections::check_nodes(const ObjectGraph& graph) {
  const std::size_t nodes = graph.low_addresses_.size();
  if (nodes > kMaxNodes || graph.kinds_.size() != nodes || graph.sizes_.size() != nodes)
    return "columns of different lengths";
  if (graph.segments_.empty() != (nodes == 0)) return "no segments";
  for (std::size_t i = 0; i < graph.segments_.size(); ++i) {
    const auto& segment = graph.segments_[i];
    if (i == 0 ? segment.first != 0
               : segment.first <= graph.segments_[i - 1].first ||
                     segment.high <= graph.segments_[i - 1].high)
      return "segments out of order";
    if (segment.first >= nodes) return "a segment behind the last object";
  }
  for (std::size_t i = 0; i < graph.big_sizes_.size(); ++i) {
    if (graph.big_sizes_[i].node >= nodes ||
        (i != 0 && graph.big_sizes_[i].node <= graph.big_sizes_[i - 1].node))
      return "big sizes out of order";
    if (graph.big_sizes_[i].units > kMaxUnits) return "an object larger than all memory";
  }
  std::uint32_t highest = 0;
  for (const std::uint32_t kind : graph.kinds_) highest = std::max(highest, kind >> 8);
  if (nodes != 0 && highest >= graph.types_table_.size()) return "a type that is none";
  return {};
}

bool GraphSections::read_nodes(SectionSource& source, ObjectGraph& graph,
                               std::vector<std::string>& damage) {
  std::string why;
  graph.low_addresses_ = values_of<std::uint32_t>(source, SectionId::kAddresses, why);
  graph.segments_ = copied(values_of<ObjectGraph::Segment>(source, SectionId::kSegments, why));
  graph.kinds_ = values_of<std::uint32_t>(source, SectionId::kKinds, why);
  graph.sizes_ = values_of<std::uint32_t>(source, SectionId::kSizes, why);
  const auto types = values_of<std::byte>(source, SectionId::kTypes, why);
  if (why.empty() && !decode_types(types, graph.types_table_)) why = "types contradict themselves";
  if (why.empty()) {
    std::string lost;
    graph.big_sizes_ = copied(values_of<ObjectGraph::BigSize>(source, SectionId::kBigSizes, lost));
    if (!lost.empty()) damage.push_back(lost + ": objects of 32 GiB and more count as empty");
    why = check_nodes(graph);
  }
  if (!why.empty()) damage.push_back("no objects can be read: " + why);
  return why.empty();
}

std::string GraphSections::check_edges(const ObjectGraph& graph, std::uint32_t nodes) {
  const auto begins = graph.begins_;
  const auto targets = graph.targets_;
  if (nodes == 0 && begins.empty() && targets.empty() && graph.labels_.empty()) return {};
  if (begins.size() != std::size_t{nodes} + 1 || targets.size() != graph.labels_.size() ||
      targets.size() > kMaxEdges || begins.front() != 0 || begins.back() != targets.size())
    return "references of different lengths";
  for (std::uint32_t n = 0; n < nodes; ++n) {
    if (begins[n] > begins[n + 1]) return "references out of order";
  }
  std::uint32_t highest = 0;
  for (const std::uint32_t target : targets) highest = std::max(highest, target);
  if (!targets.empty() && highest >= nodes) return "a reference to an object that is none";
  for (const EdgeLabel label : graph.labels_) {
    if (label.kind() > EdgeKind::kWord) return "a reference of an unknown kind";
    if (label.refers_key() && label.value() >= nodes && label.value() != EdgeLabel::kValueCap)
      return "a key that is no object";
  }
  return {};
}

void GraphSections::read_edges(SectionSource& source, ObjectGraph& graph,
                               std::vector<std::string>& damage) {
  std::string why;
  graph.begins_ = values_of<std::uint32_t>(source, SectionId::kEdgeBegins, why);
  graph.targets_ = values_of<std::uint32_t>(source, SectionId::kEdgeTargets, why);
  graph.labels_ = values_of<EdgeLabel>(source, SectionId::kEdgeLabels, why);
  if (why.empty()) why = check_edges(graph, graph.node_count());
  if (why.empty()) return;
  damage.push_back("references are lost, and with them paths: " + why);
  auto none = std::make_shared<memspy::Column<std::uint32_t>>(std::size_t{graph.node_count()} + 1);
  graph.begins_ = none->view();
  graph.targets_ = {};
  graph.labels_ = {};
  // Both live as long as the graph: what is mapped, and the empty column.
  graph.storage_ = std::make_shared<std::pair<std::shared_ptr<const void>, std::shared_ptr<void>>>(
      graph.storage_, none);
}

// Names, labels and roots: lookups check their range, so losing one loses nothing else.
void GraphSections::read_marks(SectionSource& source, ObjectGraph& graph,
                               std::vector<std::string>& damage) {
  std::string why;
  const auto names = values_of<std::byte>(source, SectionId::kNames, why);
  if (why.empty() && !decode_names(names, graph.names_)) why = "names contradict themselves";
  if (!why.empty()) damage.push_back("names of attributes are lost: " + why);
  if (!why.empty()) graph.names_.clear();

  why.clear();
  graph.node_labels_ = copied(values_of<HeapLabel>(source, SectionId::kNodeLabels, why));
  for (std::size_t i = 1; i < graph.node_labels_.size() && why.empty(); ++i) {
    if (graph.node_labels_[i].node <= graph.node_labels_[i - 1].node) why = "labels out of order";
  }
  if (!why.empty()) damage.push_back("names of functions are lost: " + why);
  if (!why.empty()) graph.node_labels_.clear();

  why.clear();
  for (const auto& root : values_of<RootRecord>(source, SectionId::kRoots, why)) {
    if (root.node >= graph.node_count() ||
        root.kind > static_cast<std::uint32_t>(RootKind::kNative))
      why = "a root that is none";
    if (!why.empty()) break;
    graph.roots_.push_back({{root.node}, static_cast<RootKind>(root.kind), {root.name}});
  }
  if (!why.empty()) damage.push_back("roots are lost, and everything looks like garbage: " + why);
  if (!why.empty()) graph.roots_.clear();
}

bool GraphSections::read(SectionSource& source, std::shared_ptr<const void> storage,
                         ObjectGraph& graph, std::vector<std::string>& damage) {
  graph.storage_ = std::move(storage);
  if (!read_nodes(source, graph, damage)) return false;
  read_edges(source, graph, damage);
  read_marks(source, graph, damage);
  return true;
}

}  // namespace memspy::snapshot

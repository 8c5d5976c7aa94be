#include "snapshot/graph_builder.h"

#include <spdlog/fmt/fmt.h>

#include "base/column.h"

namespace memspy::snapshot {

struct GraphBuilder::Columns {
  Column<std::uint32_t> low_addresses, kinds, sizes, begins, targets;
  Column<EdgeLabel> labels;
  std::uint64_t last_address = 0;
};

GraphBuilder::GraphBuilder() : columns_(std::make_unique<Columns>()) {
  graph_.names_.emplace_back();
}
GraphBuilder::~GraphBuilder() = default;

void GraphBuilder::fail(Errc code, std::string message) {
  if (error_) return;
  error_ = make_error(code, std::move(message));
  error_->context.emplace_back("building the object graph");
}

bool GraphBuilder::enter(Phase phase, const char* what) {
  if (error_) return false;
  if (phase < phase_) {
    fail(Errc::kCorrupt, fmt::format("{} came too late", what));
    return false;
  }
  phase_ = phase;
  return true;
}

void GraphBuilder::on_name(NameIndex index, std::string_view text) {
  if (error_) return;
  auto& names = graph_.names_;
  if (index.value < names.size()) {
    if (names[index.value] != text)
      fail(Errc::kCorrupt, fmt::format("name {} was told twice", index.value));
    return;
  }
  if (index.value > names.size())
    return fail(Errc::kCorrupt,
                fmt::format("name {} came after {} names", index.value, names.size()));
  names.emplace_back(text);
}

void GraphBuilder::on_types(std::span<const HeapType> types) {
  if (!enter(Phase::kTypes, "types")) return;
  auto& table = graph_.types_table_;
  if (types.size() > kMaxTypes - table.size())
    return fail(Errc::kUnsupported, fmt::format("more than {} types", kMaxTypes));
  table.insert(table.end(), types.begin(), types.end());
}

void GraphBuilder::add_node(const HeapNode& node) {
  Columns& c = *columns_;
  const auto index = static_cast<std::uint32_t>(c.low_addresses.size());
  if (index >= kMaxNodes)
    return fail(Errc::kUnsupported, fmt::format("more than {} objects", kMaxNodes));
  if (node.type.value >= graph_.types_table_.size())
    return fail(Errc::kCorrupt, fmt::format("object {} has type {} of {}", index, node.type.value,
                                            graph_.types_table_.size()));
  if (index != 0 && node.address.value <= c.last_address)
    return fail(Errc::kCorrupt, fmt::format("object {} at {:#x} does not follow {:#x}", index,
                                            node.address.value, c.last_address));
  const auto high = static_cast<std::uint32_t>(node.address.value >> 32);
  if (index == 0 || high != static_cast<std::uint32_t>(c.last_address >> 32))
    graph_.segments_.push_back({high, index});
  c.last_address = node.address.value;
  c.low_addresses.push_back(static_cast<std::uint32_t>(node.address.value));
  c.kinds.push_back(node.type.value << 8 | node.flags);
  const std::uint64_t units = node.bytes / kSizeUnit + (node.bytes % kSizeUnit != 0 ? 1 : 0);
  if (units >= ObjectGraph::kBigSize) {
    graph_.big_sizes_.push_back({index, 0, units});
    c.sizes.push_back(ObjectGraph::kBigSize);
  } else {
    c.sizes.push_back(static_cast<std::uint32_t>(units));
  }
}

void GraphBuilder::on_objects(std::span<const HeapNode> nodes) {
  if (!enter(Phase::kObjects, "objects")) return;
  for (const auto& node : nodes) {
    add_node(node);
    if (error_) return;
  }
}

// The value of an edge as it may be kept: indices are looked at now, so that readers need not.
std::uint32_t GraphBuilder::checked_value(const HeapEdge& edge) {
  const auto nodes = columns_->low_addresses.size();
  if (edge.to.value >= nodes)
    fail(Errc::kCorrupt, fmt::format("an edge to object {} of {}", edge.to.value, nodes));
  if (edge.kind > EdgeKind::kWord)
    fail(Errc::kCorrupt, fmt::format("an edge of kind {}", static_cast<unsigned>(edge.kind)));
  if (kind_names(edge.kind) && edge.value >= graph_.names_.size())
    fail(Errc::kCorrupt, fmt::format("an edge named {} of {}", edge.value, graph_.names_.size()));
  if (kind_refers_key(edge.kind) && edge.value >= nodes)
    fail(Errc::kCorrupt, fmt::format("an edge by the key {} of {}", edge.value, nodes));
  return edge.value;
}

// Nodes without edges are not told: their begins are filled in up to `node`.
void GraphBuilder::close_edges(std::uint32_t node) {
  auto& begins = columns_->begins;
  const auto end = static_cast<std::uint32_t>(columns_->targets.size());
  while (begins.size() <= node) begins.push_back(end);
}

void GraphBuilder::on_edges(NodeIndex from, std::span<const HeapEdge> edges) {
  if (!enter(Phase::kEdges, "edges")) return;
  Columns& c = *columns_;
  if (from.value >= c.low_addresses.size())
    return fail(Errc::kCorrupt,
                fmt::format("edges of object {} of {}", from.value, c.low_addresses.size()));
  if (from.value < c.begins.size())
    return fail(Errc::kCorrupt, fmt::format("edges of object {} came too late", from.value));
  if (edges.size() > kMaxEdges - c.targets.size())
    return fail(Errc::kUnsupported, fmt::format("more than {} references", kMaxEdges));
  close_edges(from.value);
  for (const auto& edge : edges) {
    const std::uint32_t value = checked_value(edge);
    if (error_) return;
    c.targets.push_back(edge.to.value);
    c.labels.push_back(EdgeLabel::of(edge.kind, edge.weak, value));
  }
}

void GraphBuilder::on_labels(std::span<const HeapLabel> labels) {
  if (!enter(Phase::kLabels, "labels")) return;
  for (const auto& label : labels) {
    auto& kept = graph_.node_labels_;
    if (label.node.value >= columns_->low_addresses.size() ||
        label.name.value >= graph_.names_.size() ||
        (!kept.empty() && label.node <= kept.back().node))
      return fail(Errc::kCorrupt,
                  fmt::format("label {} of object {}", label.name.value, label.node.value));
    kept.push_back(label);
  }
}

void GraphBuilder::on_roots(std::span<const HeapRoot> roots) {
  if (!enter(Phase::kRoots, "roots")) return;
  for (const auto& root : roots) {
    if (root.to.value >= columns_->low_addresses.size() || root.kind > RootKind::kNative ||
        root.name.value >= graph_.names_.size())
      return fail(Errc::kCorrupt, fmt::format("a root of kind {} to object {}",
                                              static_cast<unsigned>(root.kind), root.to.value));
    graph_.roots_.push_back(root);
  }
}

Result<ObjectGraph> GraphBuilder::finish() {
  if (error_) return *error_;
  std::shared_ptr<Columns> kept = std::move(columns_);
  columns_ = std::make_unique<Columns>();
  const auto end = static_cast<std::uint32_t>(kept->targets.size());
  while (kept->begins.size() <= kept->low_addresses.size()) kept->begins.push_back(end);
  for (auto* column :
       {&kept->low_addresses, &kept->kinds, &kept->sizes, &kept->begins, &kept->targets})
    column->shrink();
  kept->labels.shrink();
  graph_.low_addresses_ = kept->low_addresses.view();
  graph_.kinds_ = kept->kinds.view();
  graph_.sizes_ = kept->sizes.view();
  graph_.begins_ = kept->begins.view();
  graph_.targets_ = kept->targets.view();
  graph_.labels_ = kept->labels.view();
  graph_.storage_ = std::move(kept);
  error_ = make_error(Errc::kInternal, "the graph was taken before");
  return std::move(graph_);
}

}  // namespace memspy::snapshot

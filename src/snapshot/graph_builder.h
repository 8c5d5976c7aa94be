// Builds an ObjectGraph from what a walk tells. The walk is not trusted: an index that is none, an
// order that was not promised, or more than the columns hold ends the build with an error, and
// everything after it is ignored.
#pragma once

#include <memory>
#include <optional>

#include "memspy/object_visitor.h"
#include "memspy/result.h"
#include "snapshot/object_graph.h"

namespace memspy::snapshot {

class GraphBuilder final : public ObjectVisitor {
 public:
  GraphBuilder();
  ~GraphBuilder() override;

  void on_name(NameIndex index, std::string_view text) override;
  void on_types(std::span<const HeapType> types) override;
  void on_objects(std::span<const HeapNode> nodes) override;
  void on_edges(NodeIndex from, std::span<const HeapEdge> edges) override;
  void on_labels(std::span<const HeapLabel> labels) override;
  void on_roots(std::span<const HeapRoot> roots) override;

  // The graph, once; kCorrupt with the first thing that was wrong, kUnsupported for a heap that is
  // larger than a graph can be.
  Result<ObjectGraph> finish();

 private:
  enum class Phase : std::uint8_t { kTypes, kObjects, kEdges, kLabels, kRoots };
  struct Columns;

  bool enter(Phase phase, const char* what);
  void fail(Errc code, std::string message);
  void add_node(const HeapNode& node);
  std::uint32_t checked_value(const HeapEdge& edge);
  void close_edges(std::uint32_t node);

  std::unique_ptr<Columns> columns_;
  ObjectGraph graph_;
  Phase phase_ = Phase::kTypes;
  std::optional<Error> error_;
};

}  // namespace memspy::snapshot

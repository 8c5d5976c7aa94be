// Heaps made by hand, told to a GraphBuilder as a walk tells them: what reports, exporters and
// verbs are tested with.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "snapshot/diff.h"
#include "snapshot/snapshot.h"

namespace memspy::testing {

class SnapshotBuilder {
 public:
  // Nodes in the order of their addresses, which are 0x7f0000000100, …200, … unless one is given.
  NodeIndex object(const std::string& type, std::uint64_t bytes, std::uint8_t flags = 0);
  NodeIndex object_at(std::uint64_t address, const std::string& type, std::uint64_t bytes,
                      std::uint8_t flags = 0);
  void attribute(NodeIndex from, const std::string& name, NodeIndex to);  // of its own dict
  void local(NodeIndex from, const std::string& name, NodeIndex to);
  void internal(NodeIndex from, const std::string& name, NodeIndex to);
  void index(NodeIndex from, std::uint32_t index, NodeIndex to);
  void key(NodeIndex from, NodeIndex key, NodeIndex value);  // both references
  void edge(NodeIndex from, HeapEdge edge);
  void label(NodeIndex node, const std::string& name);
  void root(RootKind kind, const std::string& name, NodeIndex to);
  // A module with its dict, which is returned.
  NodeIndex module(const std::string& name);
  void text(NodeIndex node, const std::string& text);

  // Fails the test when the graph is refused.
  snapshot::Snapshot build();

 private:
  std::uint32_t name(const std::string& text);

  std::vector<HeapNode> nodes_;
  std::vector<HeapType> types_;
  std::map<std::string, std::uint32_t> type_index_, name_index_;
  std::vector<std::string> names_;
  std::map<std::uint32_t, std::vector<HeapEdge>> edges_;
  std::vector<HeapLabel> labels_;
  std::vector<HeapRoot> roots_;
  std::unordered_map<std::uint32_t, std::string> texts_;
};

// A snapshot with everything that is computed from it.
struct HeapSample {
  snapshot::Snapshot snapshot;
  snapshot::Dominators dominators;
  snapshot::Owners owners;
  explicit HeapSample(snapshot::Snapshot from);
  snapshot::Look look() const { return {&snapshot, &dominators, &owners}; }
};

// A small shop: `app.SESSIONS` with `sessions` of them, each with rows; a worker's frame; a cycle
// of two nodes that nothing refers to; a type whose name is HTML.
HeapSample sample_heap(std::uint32_t sessions = 3);

}  // namespace memspy::testing

// Small graphs of every shape, the same in every run, and what is true of them by the most obvious
// of algorithms.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "snapshot/graph_builder.h"

namespace memspy::snapshot::testing {

// A heap told by hand: nodes, edges and roots in any order, built by build().
class GraphScript {
 public:
  NodeIndex node(std::uint32_t type = 0, std::uint64_t bytes = 16, std::uint8_t flags = 0);
  void edge(NodeIndex from, NodeIndex to, EdgeKind kind = EdgeKind::kInternal,
            std::uint32_t value = 0, bool weak = false);
  void named(NodeIndex from, NodeIndex to, EdgeKind kind, const std::string& name);
  void root(NodeIndex to, RootKind kind = RootKind::kModule, const std::string& name = "");
  void label(NodeIndex node, const std::string& text);
  // Types are called "app.T0", "app.T1"… unless named here, in which case `node` is the type
  // itself.
  void type_of(std::uint32_t type, const std::string& name, NodeIndex node = kNoNode);
  NameIndex name(const std::string& text);
  static RemoteAddr address_of(NodeIndex n) { return {0x7f0000000000 + n.value * 64ULL}; }

  // Everything is told to the visitor as a walk would.
  void tell(ObjectVisitor& visitor) const;
  ObjectGraph build() const;

 private:
  struct Edges {
    std::vector<HeapEdge> list;
  };
  std::vector<HeapNode> nodes_;
  std::vector<Edges> edges_;
  std::vector<HeapRoot> roots_;
  std::vector<HeapLabel> labels_;
  std::vector<std::string> names_{""};
  std::vector<HeapType> types_;
};

// Up to `max_nodes`; how dense, how cyclic, how much of it is garbage differs by seed.
GraphScript random_graph(std::uint64_t seed, std::uint32_t max_nodes);

}  // namespace memspy::snapshot::testing

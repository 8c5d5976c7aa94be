// The graph of a heap: nodes, what they cost, and who refers to whom. Columns of u32 side by side
// (CSR), so that 50 million objects fit; in memory while it is built, or mapped from a .memsnap.
// Immutable once built; any number of threads may read it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/object_visitor.h"

namespace memspy::snapshot {

inline constexpr std::uint64_t kSizeUnit = 8;  // node sizes are kept in units of so many bytes

// An edge as the graph keeps it: the target in one column, how it is written in another.
struct EdgeLabel {
  std::uint32_t bits = 0;  // kind: bits 0-3, weak: bit 4, value: bits 5-31, kValueCap: did not fit
  static constexpr std::uint32_t kValueCap = (1U << 27) - 1;
  static EdgeLabel of(EdgeKind kind, bool weak, std::uint32_t value) {
    const std::uint32_t kept = value < kValueCap ? value : kValueCap;
    return {static_cast<std::uint32_t>(kind) | (weak ? 1U << 4 : 0U) | kept << 5};
  }
  EdgeKind kind() const { return static_cast<EdgeKind>(bits & 15); }
  bool weak() const { return (bits >> 4 & 1) != 0; }
  std::uint32_t value() const { return bits >> 5; }
};

class ObjectGraph {
 public:
  std::uint32_t node_count() const { return static_cast<std::uint32_t>(addresses_.size()); }
  std::uint64_t edge_count() const { return targets_.size(); }

  RemoteAddr address(NodeIndex n) const { return {addresses_[n.value]}; }
  TypeIndex type(NodeIndex n) const { return {types_[n.value]}; }
  std::uint64_t bytes(NodeIndex n) const { return sizes_[n.value] * kSizeUnit; }
  std::uint8_t flags(NodeIndex n) const { return flags_[n.value]; }
  // Outgoing edges, weak ones included: targets and labels run in parallel.
  std::span<const std::uint32_t> targets(NodeIndex n) const {
    return targets_.subspan(begins_[n.value], begins_[n.value + 1] - begins_[n.value]);
  }
  std::span<const EdgeLabel> labels(NodeIndex n) const {
    return labels_.subspan(begins_[n.value], begins_[n.value + 1] - begins_[n.value]);
  }
  // The node that begins at `address`; kNoNode when there is none.
  NodeIndex find(RemoteAddr address) const;

  std::span<const HeapType> types() const { return types_table_; }
  const std::string& type_name(NodeIndex n) const { return types_table_[type(n).value].name; }
  std::string_view name(NameIndex index) const { return names_[index.value]; }
  std::span<const HeapRoot> roots() const { return roots_; }

 private:
  friend class GraphBuilder;   // graph_builder.h: the ObjectVisitor that fills one
  friend class SnapshotFile;   // snapshot_file.h: maps one from disk

  std::span<const std::uint64_t> addresses_;
  std::span<const std::uint32_t> types_, sizes_, begins_, targets_;
  std::span<const std::uint8_t> flags_;
  std::span<const EdgeLabel> labels_;
  std::vector<HeapType> types_table_;
  std::vector<std::string> names_;
  std::vector<HeapRoot> roots_;
  std::shared_ptr<const void> storage_;  // what the columns lie in: shared by copies of the graph
};

}  // namespace memspy::snapshot

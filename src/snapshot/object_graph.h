// The graph of a heap: nodes, what they cost, and who refers to whom. Columns of u32 side by side
// (CSR), so that 50 million objects fit: 16 bytes a node and 8 an edge; in memory while it is
// built, or mapped from a .memsnap. Immutable once built; any number of threads may read it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/object_visitor.h"

namespace memspy::snapshot {

inline constexpr std::uint64_t kMaxUnits = std::uint64_t{1} << 44;  // all of x86-64's user memory
inline constexpr std::uint64_t kSizeUnit = 8;  // node sizes are kept in units of so many bytes

// Two bits of a node's index are spare in every column, for whoever computes with them.
inline constexpr std::uint32_t kMaxNodes = (1U << 30) - 16;
inline constexpr std::uint32_t kMaxEdges = (1U << 31) - 16;
inline constexpr std::uint32_t kMaxTypes = 1U << 24;
inline constexpr std::uint32_t kNone = kNoNode.value;  // in columns of nodes, types, places

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
  bool names() const;       // the value is a NameIndex
  bool refers_key() const;  // the value is the NodeIndex of a key
};

class ObjectGraph {
 public:
  std::uint32_t node_count() const { return static_cast<std::uint32_t>(low_addresses_.size()); }
  std::uint64_t edge_count() const { return targets_.size(); }

  RemoteAddr address(NodeIndex n) const {
    const auto next = std::upper_bound(
        segments_.begin(), segments_.end(), n.value,
        [](std::uint32_t node, const Segment& segment) { return node < segment.first; });
    return {std::uint64_t{next[-1].high} << 32 | low_addresses_[n.value]};
  }
  TypeIndex type(NodeIndex n) const { return {kinds_[n.value] >> 8}; }
  std::uint64_t bytes(NodeIndex n) const {
    return sizes_[n.value] != kBigSize ? sizes_[n.value] * kSizeUnit : big_size(n.value);
  }
  std::uint8_t flags(NodeIndex n) const { return static_cast<std::uint8_t>(kinds_[n.value]); }
  // Outgoing edges, weak ones included: targets and labels run in parallel.
  std::span<const std::uint32_t> targets(NodeIndex n) const {
    return targets_.subspan(begins_[n.value], begins_[n.value + 1] - begins_[n.value]);
  }
  std::span<const EdgeLabel> labels(NodeIndex n) const {
    return labels_.subspan(begins_[n.value], begins_[n.value + 1] - begins_[n.value]);
  }
  // The node that begins at `address`; kNoNode when there is none. O(log n).
  NodeIndex find(RemoteAddr address) const;

  std::span<const HeapType> types() const { return types_table_; }
  const std::string& type_name(NodeIndex n) const { return types_table_[type(n).value].name; }
  std::uint32_t name_count() const { return static_cast<std::uint32_t>(names_.size()); }
  // "" for an index that is none, such as EdgeLabel::kValueCap.
  std::string_view name(NameIndex index) const {
    return index.value < names_.size() ? std::string_view(names_[index.value]) : std::string_view();
  }
  // What the node is called (HeapLabel); "" when it has no name of its own. O(log labels).
  std::string_view label(NodeIndex n) const;
  std::span<const HeapRoot> roots() const { return roots_; }
  std::uint64_t total_bytes() const;

  // Whole columns, for passes over all edges: those of node n are [edge_begins()[n], [n + 1]).
  std::span<const std::uint32_t> edge_begins() const { return begins_; }
  std::span<const std::uint32_t> all_targets() const { return targets_; }
  std::span<const EdgeLabel> all_labels() const { return labels_; }

 private:
  friend class GraphBuilder;   // graph_builder.h: the ObjectVisitor that fills one
  friend class GraphSections;  // snapshot_sections.h: writes one to disk and maps it from there

  static constexpr std::uint32_t kBigSize = 0xffffffff;
  struct Segment {  // nodes of one 4 GiB of address space; ascending in both
    std::uint32_t high = 0;
    std::uint32_t first = 0;
  };
  struct BigSize {  // of a node whose size does not fit its column; ascending by node
    std::uint32_t node = 0;
    std::uint32_t zero = 0;
    std::uint64_t units = 0;
  };
  std::uint64_t big_size(std::uint32_t node) const;

  std::span<const std::uint32_t> low_addresses_, kinds_, sizes_, begins_, targets_;
  std::span<const EdgeLabel> labels_;  // kinds_: type << 8 | flags
  std::vector<Segment> segments_;
  std::vector<BigSize> big_sizes_;
  std::vector<HeapType> types_table_;
  std::vector<std::string> names_;
  std::vector<HeapLabel> node_labels_;
  std::vector<HeapRoot> roots_;
  std::shared_ptr<const void> storage_;  // what the columns lie in: shared by copies of the graph
};

inline bool kind_names(EdgeKind kind) {
  return kind == EdgeKind::kAttribute || kind == EdgeKind::kClosure || kind == EdgeKind::kLocal ||
         kind == EdgeKind::kInternal;
}
inline bool kind_refers_key(EdgeKind kind) {
  return kind == EdgeKind::kKey || kind == EdgeKind::kKeyItself;
}
inline bool EdgeLabel::names() const { return kind_names(kind()); }
inline bool EdgeLabel::refers_key() const { return kind_refers_key(kind()); }

}  // namespace memspy::snapshot

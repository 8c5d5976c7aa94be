// A set of nodes, or of edges, a bit each: small enough to stay in a cache where a byte each would
// not.
#pragma once

#include <cstdint>

#include "base/column.h"

namespace memspy::snapshot {

class NodeSet {
 public:
  explicit NodeSet(std::uint32_t nodes) : words_(std::size_t{nodes} / 64 + 1) {}
  bool contains(std::uint32_t n) const { return (words_[n >> 6] >> (n & 63) & 1) != 0; }
  void add(std::uint32_t n) { words_[n >> 6] |= std::uint64_t{1} << (n & 63); }
  void add_all(const NodeSet& other) {  // of as many nodes
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }

 private:
  Column<std::uint64_t> words_;
};

}  // namespace memspy::snapshot

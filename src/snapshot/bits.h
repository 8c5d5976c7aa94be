// A set of nodes, a bit each: small enough to stay in a cache where a byte each would not.
#pragma once

#include <cstdint>

#include "base/column.h"

namespace memspy::snapshot {

class NodeSet {
 public:
  explicit NodeSet(std::uint32_t nodes) : words_(nodes / 64 + 1) {}
  bool contains(std::uint32_t n) const { return (words_[n >> 6] >> (n & 63) & 1) != 0; }
  void add(std::uint32_t n) { words_[n >> 6] |= std::uint64_t{1} << (n & 63); }

 private:
  Column<std::uint64_t> words_;
};

}  // namespace memspy::snapshot

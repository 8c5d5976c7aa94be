// Bytes of each node, and of what was folded into it, while dominators are computed: half as large
// as the column of retained sizes, which comes when the columns of the search are gone.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/column.h"
#include "base/parallel.h"
#include "snapshot/object_graph.h"

namespace memspy::snapshot {

class UnitSums {
 public:
  explicit UnitSums(const ObjectGraph& graph) : sums_(graph.node_count()) {
    std::mutex large;
    in_shares(graph.node_count(), [&](std::uint64_t begin, std::uint64_t end) {
      for (auto n = static_cast<std::uint32_t>(begin); n < end; ++n) {
        const std::uint64_t units = graph.bytes({n}) / kSizeUnit;
        sums_[n] = units < kLarge ? static_cast<std::uint32_t>(units) : kLarge;
        if (units < kLarge) continue;
        const std::lock_guard lock(large);
        large_[n] = units;
      }
    });
  }

  std::uint64_t bytes(std::uint32_t n) const { return units(n) * kSizeUnit; }
  // What `from` has is a part of what `to` has.
  void fold(std::uint32_t from, std::uint32_t to) {
    const std::uint64_t sum = units(from) + units(to);
    sums_[to] = sum < kLarge ? static_cast<std::uint32_t>(sum) : kLarge;
    if (sum >= kLarge) large_[to] = sum;
  }

 private:
  static constexpr std::uint32_t kLarge = 0xffffffff;  // in the map

  std::uint64_t units(std::uint32_t n) const {
    return sums_[n] != kLarge ? sums_[n] : large_.at(n);
  }

  Column<std::uint32_t> sums_;
  std::unordered_map<std::uint32_t, std::uint64_t> large_;
};

}  // namespace memspy::snapshot

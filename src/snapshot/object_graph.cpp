#include "snapshot/object_graph.h"

namespace memspy::snapshot {

NodeIndex ObjectGraph::find(RemoteAddr address) const {
  const auto high = static_cast<std::uint32_t>(address.value >> 32);
  const auto segment =
      std::lower_bound(segments_.begin(), segments_.end(), high,
                       [](const Segment& s, std::uint32_t wanted) { return s.high < wanted; });
  if (segment == segments_.end() || segment->high != high) return kNoNode;
  const auto next = segment + 1;
  const auto end = low_addresses_.begin() + (next == segments_.end() ? node_count() : next->first);
  const auto low = static_cast<std::uint32_t>(address.value);
  const auto at = std::lower_bound(low_addresses_.begin() + segment->first, end, low);
  if (at == end || *at != low) return kNoNode;
  return {static_cast<std::uint32_t>(at - low_addresses_.begin())};
}

std::uint64_t ObjectGraph::big_size(std::uint32_t node) const {
  const auto at =
      std::lower_bound(big_sizes_.begin(), big_sizes_.end(), node,
                       [](const BigSize& b, std::uint32_t wanted) { return b.node < wanted; });
  return at != big_sizes_.end() && at->node == node ? at->units * kSizeUnit : 0;
}

std::string_view ObjectGraph::label(NodeIndex n) const {
  const auto at =
      std::lower_bound(node_labels_.begin(), node_labels_.end(), n,
                       [](const HeapLabel& l, NodeIndex wanted) { return l.node < wanted; });
  return at != node_labels_.end() && at->node == n ? name(at->name) : std::string_view();
}

std::uint64_t ObjectGraph::total_bytes() const {
  std::uint64_t sum = 0;
  for (std::uint32_t n = 0; n < node_count(); ++n) sum += bytes({n});
  return sum;
}

}  // namespace memspy::snapshot

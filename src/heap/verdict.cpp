#include <algorithm>
#include <string>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "heap/heap_look.h"

namespace memspy::heap {
namespace {

using snapshot::OwnerTotals;
using snapshot::Snapshot;

std::string percent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "0 %";
  return fmt::format("{:.0f} %", 100 * static_cast<double>(part) / static_cast<double>(whole));
}

// What a person can do something about first: the largest owner that has a name in the program.
const OwnerTotals* first_owner(const snapshot::Owners& owners) {
  for (const OwnerTotals& owner : owners.owners)
    if (owner.bytes > 0) return &owner;
  return nullptr;
}

}  // namespace

std::string verdict_of(const Snapshot& snapshot, const snapshot::Owners& owners) {
  const std::uint64_t heap = snapshot.graph.total_bytes();
  const std::uint64_t rss = snapshot.header.rss_bytes;
  std::string text =
      rss > 0 ? fmt::format("live objects are {} of RSS", percent(std::min(heap, rss), rss))
              : fmt::format("live objects are {}", format_bytes(heap));
  if (const OwnerTotals* owner = first_owner(owners))
    text += fmt::format("; {} holds {} of them ({})", owner->owner, percent(owner->bytes, heap),
                        format_bytes(owner->bytes));
  return text;
}

}  // namespace memspy::heap

#include "heap/pins.h"

#include <algorithm>
#include <unordered_map>

#include <spdlog/fmt/fmt.h>

namespace memspy::heap {
namespace {

constexpr std::uint64_t kNearlyEmpty = 10;  // a tenth of an arena in use, at most
constexpr std::size_t kNamed = 3;

std::uint32_t first_node(const snapshot::ObjectGraph& graph, std::uint64_t address) {
  std::uint32_t low = 0;
  std::uint32_t high = graph.node_count();
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (graph.address({middle}).value < address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

using Counts = std::unordered_map<std::uint32_t, std::uint64_t>;

std::vector<std::pair<std::uint64_t, std::uint32_t>> most_frequent(const Counts& counts) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> sorted;
  for (const auto& [index, count] : counts) sorted.emplace_back(count, index);
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  if (sorted.size() > kNamed) sorted.resize(kNamed);
  return sorted;
}

void append(std::string& list, std::string_view item) {
  if (!list.empty()) list += ", ";
  list += item;
}

}  // namespace

std::string_view short_type_name(std::string_view name) {
  constexpr std::string_view kBuiltins = "builtins.";
  return name.starts_with(kBuiltins) ? name.substr(kBuiltins.size()) : name;
}

Pins find_pins(const LedgerInput& input, const std::vector<ArenaUse>& arenas) {
  Pins pins;
  Counts types;
  Counts owners;
  const snapshot::ObjectGraph& graph = input.graph;
  for (const ArenaUse& arena : arenas) {
    if (arena.used == 0 || arena.used * kNearlyEmpty > arena.range.size) continue;
    ++pins.arenas;
    pins.live_bytes += arena.used;
    pins.free_bytes += arena.resident - std::min(arena.resident, arena.used);
    const std::uint64_t end = arena.range.start.value + arena.range.size;
    for (std::uint32_t node = first_node(graph, arena.range.start.value);
         node < graph.node_count() && graph.address({node}).value < end; ++node) {
      ++pins.objects;
      ++types[graph.type({node}).value];
      if (input.owners != nullptr && node < input.owners->owner_of.size()) {
        ++owners[input.owners->owner_of[node]];
      }
    }
  }
  for (const auto& [count, type] : most_frequent(types)) {
    append(pins.types, fmt::format("{} {}", count, short_type_name(graph.types()[type].name)));
  }
  for (const auto& [count, owner] : most_frequent(owners)) {
    if (owner < input.owners->owners.size()) append(pins.owners, input.owners->owners[owner].owner);
  }
  return pins;
}

}  // namespace memspy::heap

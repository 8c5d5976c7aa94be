// The objects of a snapshot in groups: by type, by the module that the type is defined in, by
// owner, by size, by generation of the collector. What the tables and the JSON of the heap's verbs
// show.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "snapshot/diff.h"

namespace memspy::report {

enum class HeapGroup { kType, kModule, kOwner, kSize, kGeneration };
std::string_view heap_group_name(HeapGroup by);
std::optional<HeapGroup> find_heap_group(std::string_view name);

enum class HeapSort { kBytes, kCount, kRetained, kName };
std::optional<HeapSort> find_heap_sort(std::string_view name);

struct HeapRow {
  std::string name;
  std::uint64_t count = 0, bytes = 0;
  // Bytes that would go with the group's objects, each counted once: only objects with none of the
  // group above them in the dominator tree are summed.
  std::uint64_t retained = 0;
};

struct HeapCensus {
  HeapGroup by = HeapGroup::kType;
  std::uint64_t objects = 0, bytes = 0;
  std::vector<HeapRow> rows;  // no empty ones
};

HeapCensus take_heap_census(const snapshot::Look& look, HeapGroup by, HeapSort sort);

// The objects at which memory accumulates: by retained size, leaving out those that hold nearly all
// of it through one other object (the module before its dict before its cache). At most `limit`.
std::vector<NodeIndex> largest_objects(const snapshot::Look& look, std::size_t limit);

// Of all objects.
std::uint64_t heap_bytes(const snapshot::ObjectGraph& graph);

// The part of a type's name that is its module: the longest one among the snapshot's modules, else
// everything before the last dot.
std::string_view module_of_type(std::string_view type, std::span<const std::string_view> modules);

}  // namespace memspy::report

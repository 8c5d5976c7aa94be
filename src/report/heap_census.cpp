#include "report/heap_census.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <unordered_map>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"

namespace memspy::report {
namespace {

using snapshot::Dominators;
using snapshot::Look;
using snapshot::ObjectGraph;

constexpr std::uint32_t kNone = kNoNode.value;
// An object whose largest child holds so much of it only passes memory on.
constexpr double kPassesOn = 0.9;

constexpr std::array kGroupNames{
    std::pair{HeapGroup::kType, "type"}, std::pair{HeapGroup::kModule, "module"},
    std::pair{HeapGroup::kOwner, "owner"}, std::pair{HeapGroup::kSize, "size"},
    std::pair{HeapGroup::kGeneration, "generation"}};
constexpr std::array kSortNames{
    std::pair{HeapSort::kBytes, "bytes"}, std::pair{HeapSort::kCount, "count"},
    std::pair{HeapSort::kRetained, "retained"}, std::pair{HeapSort::kName, "name"}};

// The dominator tree as first child and next sibling, so that a walk needs no stack.
class DominatorTree {
 public:
  explicit DominatorTree(const std::vector<std::uint32_t>& idom)
      : idom_(idom), first_(idom.size() + 1, kNone), next_(idom.size(), kNone) {
    for (std::size_t i = idom.size(); i-- > 0;) {
      std::uint32_t& head = first_[idom[i] == kNone ? idom.size() : idom[i]];
      next_[i] = head;
      head = static_cast<std::uint32_t>(i);
    }
  }

  // enter(node) before what it dominates, leave(node) after.
  template <typename Enter, typename Leave>
  void walk(Enter&& enter, Leave&& leave) const {
    std::uint32_t at = first_.back();
    while (at != kNone) {
      enter(at);
      if (first_[at] != kNone) {
        at = first_[at];
        continue;
      }
      while (at != kNone) {
        leave(at);
        if (next_[at] != kNone) {
          at = next_[at];
          break;
        }
        at = idom_[at];
      }
    }
  }

 private:
  const std::vector<std::uint32_t>& idom_;
  std::vector<std::uint32_t> first_, next_;
};

struct Grouping {
  std::vector<std::string> names;
  std::vector<std::uint32_t> of;  // by node: index into names
};

Grouping by_module(const ObjectGraph& graph) {
  std::vector<std::string_view> modules;
  for (const HeapRoot& root : graph.roots())
    if (root.kind == RootKind::kModule) modules.push_back(graph.name(root.name));
  std::sort(modules.begin(), modules.end());
  Grouping groups;
  std::unordered_map<std::string, std::uint32_t> index;
  std::vector<std::uint32_t> of_type;
  for (const HeapType& type : graph.types()) {
    const std::string name(module_of_type(type.name, modules));
    const auto [it, fresh] =
        index.try_emplace(name, static_cast<std::uint32_t>(groups.names.size()));
    if (fresh) groups.names.push_back(name);
    of_type.push_back(it->second);
  }
  for (std::uint32_t i = 0; i < graph.node_count(); ++i)
    groups.of.push_back(of_type[graph.type(NodeIndex{i}).value]);
  return groups;
}

Grouping by_owner(const Look& look) {
  Grouping groups;
  for (const auto& owner : look.owners->owners) groups.names.push_back(owner.owner);
  groups.of = look.owners->owner_of;
  return groups;
}

// A bucket a power of two; what costs nothing (static objects) has its own.
Grouping by_size(const ObjectGraph& graph) {
  Grouping groups;
  groups.names.emplace_back("0 B (static)");
  for (std::uint32_t bits = 0; bits < 64; ++bits)
    groups.names.push_back("up to " + format_bytes(std::uint64_t{1} << bits));
  for (std::uint32_t i = 0; i < graph.node_count(); ++i) {
    const std::uint64_t bytes = graph.bytes(NodeIndex{i});
    groups.of.push_back(bytes == 0 ? 0 : 1 + static_cast<std::uint32_t>(std::bit_width(bytes - 1)));
  }
  return groups;
}

Grouping by_generation(const ObjectGraph& graph) {
  Grouping groups;
  groups.names = {"generation 0",       "generation 1", "generation 2",
                  "permanent (frozen)", "not tracked",  "static"};
  for (std::uint32_t i = 0; i < graph.node_count(); ++i) {
    const std::uint8_t flags = graph.flags(NodeIndex{i});
    std::uint32_t group = 4;
    if ((flags & kNodeStatic) != 0) group = 5;
    if ((flags & kNodeGcTracked) != 0) group = flags >> kNodeGenerationShift & 3U;
    groups.of.push_back(group);
  }
  return groups;
}

Grouping group_nodes(const Look& look, HeapGroup by) {
  switch (by) {
    case HeapGroup::kModule:
      return by_module(look.snapshot->graph);
    case HeapGroup::kOwner:
      return by_owner(look);
    case HeapGroup::kSize:
      return by_size(look.snapshot->graph);
    case HeapGroup::kGeneration:
      return by_generation(look.snapshot->graph);
    case HeapGroup::kType:
      break;  // rows_of_types() needs no column of them
  }
  return {};
}

void sum_retained(const Dominators& dominators, const Grouping& groups,
                  std::vector<HeapRow>& rows) {
  std::vector<std::uint32_t> above(rows.size(), 0);  // of the group, on the way down
  DominatorTree(dominators.idom)
      .walk(
          [&](std::uint32_t node) {
            const std::uint32_t group = groups.of[node];
            if (above[group]++ == 0) rows[group].retained += dominators.retained[node];
          },
          [&](std::uint32_t node) { --above[groups.of[node]]; });
}

std::vector<HeapRow> rows_of(const Look& look, HeapGroup by) {
  const ObjectGraph& graph = look.snapshot->graph;
  const Grouping groups = group_nodes(look, by);
  std::vector<HeapRow> rows(groups.names.size());
  for (std::size_t i = 0; i < groups.names.size(); ++i) rows[i].name = groups.names[i];
  for (std::uint32_t i = 0; i < graph.node_count(); ++i) {
    HeapRow& row = rows[groups.of[i]];
    ++row.count;
    row.bytes += graph.bytes(NodeIndex{i});
  }
  sum_retained(*look.dominators, groups, rows);
  return rows;
}

std::vector<HeapRow> rows_of_types(const Look& look) {
  const ObjectGraph& graph = look.snapshot->graph;
  std::vector<HeapRow> rows;
  for (const auto& type : snapshot::totals_by_type(graph, *look.dominators)) {
    HeapRow& row = rows.emplace_back();
    row.name = graph.types()[type.type.value].name;
    row.count = type.count;
    row.bytes = type.bytes;
    row.retained = type.retained;
  }
  return rows;
}

void sort_rows(std::vector<HeapRow>& rows, HeapSort sort) {
  const auto key = [sort](const HeapRow& row) {
    switch (sort) {
      case HeapSort::kCount:
        return row.count;
      case HeapSort::kRetained:
        return row.retained;
      case HeapSort::kName:
        return std::uint64_t{0};
      case HeapSort::kBytes:
        break;
    }
    return row.bytes;
  };
  std::sort(rows.begin(), rows.end(), [&](const HeapRow& a, const HeapRow& b) {
    if (key(a) != key(b)) return key(a) > key(b);
    if (sort != HeapSort::kName && a.count != b.count) return a.count > b.count;
    return a.name < b.name;
  });
}

}  // namespace

std::string_view heap_group_name(HeapGroup by) {
  for (const auto& [group, name] : kGroupNames)
    if (group == by) return name;
  return "";
}

std::optional<HeapGroup> find_heap_group(std::string_view name) {
  for (const auto& [group, text] : kGroupNames)
    if (name == text) return group;
  return std::nullopt;
}

std::optional<HeapSort> find_heap_sort(std::string_view name) {
  for (const auto& [sort, text] : kSortNames)
    if (name == text) return sort;
  return std::nullopt;
}

std::string_view module_of_type(std::string_view type, std::span<const std::string_view> modules) {
  for (std::size_t dot = type.rfind('.'); dot != std::string_view::npos && dot > 0;
       dot = type.rfind('.', dot - 1)) {
    if (std::binary_search(modules.begin(), modules.end(), type.substr(0, dot)))
      return type.substr(0, dot);
  }
  const std::size_t last = type.rfind('.');
  return last == std::string_view::npos ? type : type.substr(0, last);
}

HeapCensus take_heap_census(const Look& look, HeapGroup by, HeapSort sort) {
  HeapCensus census;
  census.by = by;
  census.objects = look.snapshot->graph.node_count();
  census.rows = by == HeapGroup::kType ? rows_of_types(look) : rows_of(look, by);
  for (const HeapRow& row : census.rows) census.bytes += row.bytes;
  std::erase_if(census.rows, [](const HeapRow& row) { return row.count == 0; });
  sort_rows(census.rows, sort);
  return census;
}

std::vector<NodeIndex> largest_objects(const Look& look, std::size_t limit) {
  const auto& [idom, retained, garbage] = *look.dominators;
  std::vector<std::uint64_t> largest_child(idom.size(), 0);
  for (std::size_t i = 0; i < idom.size(); ++i)
    if (idom[i] != kNone) largest_child[idom[i]] = std::max(largest_child[idom[i]], retained[i]);
  const auto more = [&](NodeIndex a, NodeIndex b) {
    if (retained[a.value] != retained[b.value]) return retained[a.value] > retained[b.value];
    return a < b;
  };
  std::vector<NodeIndex> kept;  // a heap, the least of them in front
  for (std::uint32_t i = 0; i < idom.size() && limit != 0; ++i) {
    const double own = static_cast<double>(retained[i]);
    if (own <= 0 || static_cast<double>(largest_child[i]) > kPassesOn * own) continue;
    if (kept.size() == limit) {
      if (!more(NodeIndex{i}, kept.front())) continue;
      std::pop_heap(kept.begin(), kept.end(), more);
      kept.pop_back();
    }
    kept.push_back(NodeIndex{i});
    std::push_heap(kept.begin(), kept.end(), more);
  }
  std::sort_heap(kept.begin(), kept.end(), more);
  return kept;
}

std::uint64_t heap_bytes(const ObjectGraph& graph) {
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < graph.node_count(); ++i) bytes += graph.bytes(NodeIndex{i});
  return bytes;
}

}  // namespace memspy::report

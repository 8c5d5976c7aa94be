#include "snapshot/holder_names.h"

#include <algorithm>
#include <tuple>

#include <spdlog/fmt/fmt.h>

namespace memspy::snapshot {
namespace {

HolderRank rank_of(const HeapRoot& root, std::uint8_t flags) {
  if (root.kind == RootKind::kModule) return HolderRank::kModule;
  // None, small numbers, static types: everybody refers to them, nobody has them.
  if ((flags & (kNodeStatic | kNodeImmortal)) != 0) return HolderRank::kStatic;
  switch (root.kind) {
    case RootKind::kType:
    case RootKind::kStatic:
      return HolderRank::kStatic;
    case RootKind::kFrame:
      return HolderRank::kFrame;
    case RootKind::kThread:
      return HolderRank::kThread;
    case RootKind::kInterpreter:
      return HolderRank::kInterpreter;
    default:
      return HolderRank::kNative;
  }
}

// __doc__, __spec__ and the like belong to the module or type as such.
bool is_dunder(std::string_view name) {
  return name.size() > 4 && name.starts_with("__") && name.ends_with("__");
}

// Of several names of one rank the shortest, then the first in the alphabet: the same in every
// look.
bool better(const std::string& a, const std::string& b) {
  return std::tuple(a.size(), std::string_view(a)) < std::tuple(b.size(), std::string_view(b));
}

}  // namespace

std::string root_text(const ObjectGraph& graph, const HeapRoot& root) {
  if (const auto name = graph.name(root.name); !name.empty()) return std::string(name);
  if (const auto label = graph.label(root.to); !label.empty()) return std::string(label);
  switch (root.kind) {
    case RootKind::kModule:
      return "module";
    case RootKind::kType:
      return "static types";
    case RootKind::kFrame:
      return "frame";
    case RootKind::kThread:
      return "thread";
    case RootKind::kInterpreter:
      return "interpreter";
    case RootKind::kStatic:
      return "static data";
    case RootKind::kNative:
      break;
  }
  return "held by native code";
}

HolderNames::HolderNames(const ObjectGraph& graph, const Dominators& dominators)
    : graph_(graph), dominators_(dominators) {
  add_roots();
  add_scopes();
  name_types();
  add_functions();
}

void HolderNames::offer(std::uint32_t node, HolderRank rank, std::string name) {
  if (dominators_.garbage[node] != 0) return;
  auto [at, added] = holders_.try_emplace(node);
  Holder& holder = at->second;
  if (!added && (holder.rank < rank || (holder.rank == rank && !better(name, holder.name)))) return;
  holder.rank = rank;
  holder.name = std::move(name);
}

void HolderNames::add_roots() {
  for (const auto& root : graph_.roots())
    offer(root.to.value, rank_of(root, graph_.flags(root.to)), root_text(graph_, root));
}

void HolderNames::add_scopes() {
  for (const auto& root : graph_.roots()) {
    if (root.kind == RootKind::kModule)
      add_scope(root.to, root_text(graph_, root), HolderRank::kGlobal);
  }
  for (const auto& type : graph_.types()) {
    const NodeIndex node = graph_.find(type.address);
    if (node != kNoNode) add_scope(node, type.name, HolderRank::kAttribute);
  }
}

void HolderNames::add_scope(NodeIndex node, const std::string& name, HolderRank rank) {
  add_names_of(node, name, rank);
  const auto targets = graph_.targets(node);
  const auto labels = graph_.labels(node);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (labels[i].kind() != EdgeKind::kDict || labels[i].weak()) continue;
    add_names_of({targets[i]}, name, rank);
    offer(targets[i], rank, name);  // the dict itself, also when others hold it as well
  }
}

void HolderNames::add_names_of(NodeIndex node, const std::string& scope, HolderRank rank) {
  const auto targets = graph_.targets(node);
  const auto labels = graph_.labels(node);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (labels[i].kind() != EdgeKind::kAttribute || labels[i].weak()) continue;
    const auto known = holders_.find(targets[i]);
    if (known != holders_.end() && known->second.rank < rank) continue;
    const auto name = graph_.name({labels[i].value()});
    offer(targets[i], rank,
          name.empty() || is_dunder(name) ? scope : fmt::format("{}.{}", scope, name));
  }
}

// A class is called by its own name and not by one of those under which modules imported it.
void HolderNames::name_types() {
  for (const auto& type : graph_.types()) {
    const NodeIndex node = graph_.find(type.address);
    if (node == kNoNode) continue;
    const auto known = holders_.find(node.value);
    if (known == holders_.end()) {
      if (dominators_.idom[node.value] == kNoNode.value)
        offer(node.value, HolderRank::kGlobal, type.name);
    } else if (known->second.rank == HolderRank::kGlobal ||
               known->second.rank == HolderRank::kAttribute) {
      known->second.name = type.name;
    }
  }
}

std::string HolderNames::function_name(NodeIndex node) const {
  for (NodeIndex at = node; at != kNoNode; at = {dominators_.idom[at.value]}) {
    if (const auto label = graph_.label(at); !label.empty())
      return fmt::format("function {}", label);
    if (const auto holder = holders_.find(at.value); holder != holders_.end())
      return holder->second.name;
    if (at != node) break;  // a tuple of cells hangs on its function directly
  }
  return "function";
}

void HolderNames::add_functions() {
  constexpr std::uint32_t kNoName = 0xffffffff;
  std::uint32_t defaults = kNoName, kwdefaults = kNoName;
  for (std::uint32_t i = 0; i < graph_.name_count(); ++i) {
    if (graph_.name({i}) == "__defaults__") defaults = i;
    if (graph_.name({i}) == "__kwdefaults__") kwdefaults = i;
  }
  const auto begins = graph_.edge_begins();
  const auto targets = graph_.all_targets();
  const auto labels = graph_.all_labels();
  for (std::uint32_t n = 0; n < graph_.node_count(); ++n) {
    for (std::uint32_t e = begins[n]; e < begins[n + 1]; ++e) {
      const EdgeLabel label = labels[e];
      const bool closure = label.kind() == EdgeKind::kClosure;
      const bool is_default = label.kind() == EdgeKind::kAttribute &&
                              (label.value() == defaults || label.value() == kwdefaults);
      if ((!closure && !is_default) || label.weak()) continue;
      const auto known = holders_.find(targets[e]);
      if (known != holders_.end() && known->second.rank <= HolderRank::kFunction) continue;
      offer(targets[e], HolderRank::kFunction,
            closure
                ? fmt::format("{}.<closure {}>", function_name({n}), graph_.name({label.value()}))
                : fmt::format("{}.<defaults>", function_name({n})));
    }
  }
}

}  // namespace memspy::snapshot

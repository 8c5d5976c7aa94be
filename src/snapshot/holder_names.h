// Which nodes a person would name when asked where memory hangs: globals of modules, attributes of
// types, closures and defaults of functions, locals of frames, and whatever else is a root.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "snapshot/analysis.h"

namespace memspy::snapshot {

// How well a name says where something hangs; the lowest wins.
enum class HolderRank : std::uint8_t {
  kModule,     // it is a module
  kStatic,     // part of the interpreter or a library, whoever else refers to it
  kGlobal,     // of a module: app.cache.SESSIONS
  kAttribute,  // of a type: app.Worker._queue
  kFunction,   // a closure or default: function handler.<closure buf>
  kFrame,      // a local
  kThread,
  kInterpreter,
  kNative,
};

struct Holder {
  HolderRank rank = HolderRank::kNative;
  std::string name;
};

class HolderNames {
 public:
  HolderNames(const ObjectGraph& graph, const Dominators& dominators);
  const std::unordered_map<std::uint32_t, Holder>& by_node() const { return holders_; }

 private:
  void add_roots();
  void add_scopes();
  void add_scope(NodeIndex node, const std::string& name, HolderRank rank);
  void add_names_of(NodeIndex node, const std::string& scope, HolderRank rank);
  void name_types();
  void add_functions();
  std::string function_name(NodeIndex node) const;
  void offer(std::uint32_t node, HolderRank rank, std::string name);

  const ObjectGraph& graph_;
  const Dominators& dominators_;
  std::unordered_map<std::uint32_t, Holder> holders_;
};

// What a root is called when the walk gave it no name.
std::string root_text(const ObjectGraph& graph, const HeapRoot& root);

}  // namespace memspy::snapshot

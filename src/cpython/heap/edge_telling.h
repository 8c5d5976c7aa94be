// The second reading of all references: each with the number of its target, told to the visitor in
// the order of the objects. Threads read blocks of objects; who has read one waits until those
// before it were told.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "cpython/heap/edge_search.h"
#include "cpython/heap/object_names.h"
#include "cpython/heap/reference_counts.h"

namespace memspy::cpython {

struct EdgeTellingInput {
  const EdgeSearchInput& walk;
  const std::unordered_set<RemoteAddr>& keys_of_types;
  const std::vector<bool>& is_own_dict;  // of a module, a type or an instance: its keys are names
  NameIndex keys_name, unknown_key_name;
  ObjectNames& names;
  ReferenceCounts& counts;
  WalkStats& stats;
};

class EdgeTelling {
 public:
  explicit EdgeTelling(const EdgeTellingInput& input) : in_(input) {}
  void run(ObjectVisitor& visitor);

 private:
  struct Block;
  class Reader;
  class Turns;
  void tell(Block& block, ObjectVisitor& visitor);
  void give_names(Block& block);

  const EdgeTellingInput in_;
};

}  // namespace memspy::cpython

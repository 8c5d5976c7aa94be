// The first reading of all references: it finds what lies outside of the pools. The pools' objects
// are shared among threads, except those whose reading may give names or types that were not met
// before: they come afterwards, in their order, so that numbers are the same every time.
#pragma once

#include <unordered_set>
#include <vector>

#include "cpython/heap/edge_plans.h"
#include "cpython/heap/edge_reader.h"
#include "cpython/heap/heap_census.h"
#include "cpython/heap/heap_roots.h"

namespace memspy::cpython {

struct EdgeSearchInput {
  const HeapInput& heap;
  HeapCensus& census;
  TypeTable& types;
  EdgePlans& plans;
  HeapRoots& roots;
};

class EdgeSearch {
 public:
  explicit EdgeSearch(const EdgeSearchInput& input) : in_(input) {}

  // Until nothing is reached that was not known.
  void run();

  // Tables of keys that types keep for their instances.
  std::unordered_set<RemoteAddr> keys_of_types;
  std::vector<RemoteAddr> own_dicts;  // of modules, types and instances

 private:
  class Worker;

  void follow_pools();
  std::vector<bool> types_in_pools() const;
  void learn_plans();
  void take(Worker& worker);

  const EdgeSearchInput in_;
  std::vector<bool> shared_;  // by type: its instances are read by any thread
};

}  // namespace memspy::cpython

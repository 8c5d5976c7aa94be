// The roots of a walk, as nodes: what RootReader names, static types, immortal objects, and what
// native code holds by the count of references.
#pragma once

#include <vector>

#include "cpython/heap/edge_reader.h"
#include "cpython/heap/heap_census.h"
#include "cpython/heap/heap_walker.h"
#include "cpython/heap/reference_counts.h"
#include "cpython/heap/root_reader.h"

namespace memspy::cpython {

class HeapRoots {
 public:
  HeapRoots(const HeapInput& input, TypeTable& types, EdgePlans& plans)
      : input_(input), types_(types), plans_(plans) {}

  // Before references are followed: reads the roots, leads the census to them, and tells `edges`
  // of the dicts whose references do not count.
  void find(EdgeReader& edges, HeapCensus& census);
  // The same for another reader; limits what it may read.
  void prepare(EdgeReader& edges) const;

  // After the census is finished and all edges were added to `counts`: every root with a node, in
  // order of preference. Adds the roots' own references to `counts`.
  std::vector<HeapRoot> resolve(const HeapCensus& census, HeapBytes& bytes,
                                ReferenceCounts& counts);

 private:
  bool counts_references(const HeapCensus& census, std::size_t node) const;

  const HeapInput& input_;
  TypeTable& types_;
  EdgePlans& plans_;
  std::vector<RawRoot> raw_;
  std::vector<RemoteAddr> weak_dicts_;
};

}  // namespace memspy::cpython

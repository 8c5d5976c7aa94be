// What an object refers to, with the names of a source text: all references it owns, also those
// that the collector is not told of (the str keys of a dict), and weak ones marked as such.
//
// One reader per thread. Nothing is allocated per object: `out` is the caller's to reuse.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cpython/heap/edge_plans.h"
#include "cpython/heap/heap_bytes.h"
#include "cpython/heap/type_table.h"
#include "cpython/interpreter.h"
#include "memspy/object_visitor.h"

namespace memspy::cpython {

// An edge before its target has a number. Targets are plausible addresses, no more: whether an
// object is there is for the caller to find out, strictly so for kWord, which is a guess.
struct RawEdge {
  RemoteAddr to;
  std::uint64_t value = 0;  // as EdgeKind says; the key's address where that says NodeIndex
  EdgeKind kind = EdgeKind::kInternal;
  bool weak = false;
};

class EdgeReader {
 public:
  // `plans` is shared between readers; all must outlive this one.
  EdgeReader(const Interpreter& interpreter, const MemoryReader& memory, EdgePlans& plans);

  // Appends the edges of `object` in the order of its fields. True: words were scanned, so edges may
  // be too many.
  bool read(RemoteAddr object, const TypeFacts& type, std::vector<RawEdge>& out);

  // Words of arrays and tables that may still be read. A heap that contradicts itself can claim one
  // large array for each of its objects; at 0, arrays end early.
  void set_budget(std::uint64_t words) { budget_ = words; }
  bool budget_spent() const { return budget_ == 0; }

 private:
  class Out;

  const EdgePlan& plan_of(const TypeFacts& type);

  const Layout& layout_;
  EdgePlans& plans_;
  std::vector<const EdgePlan*> by_type_;
  std::uint64_t budget_ = std::uint64_t{1} << 34;
};

}  // namespace memspy::cpython

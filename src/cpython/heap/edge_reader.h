// What an object refers to, with the names of a source text: all references it owns, also those
// that the collector is not told of (the str keys of a dict), and weak ones marked as such.
//
// One reader per thread. Nothing is allocated per object: `out` is the caller's to reuse.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cpython/heap/edge_plans.h"
#include "cpython/heap/heap_bytes.h"
#include "cpython/heap/module_states.h"
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

  // Appends the edges of `object` in the order of its fields. True: words were scanned, so edges
  // may be too many.
  bool read(RemoteAddr object, const TypeFacts& type, std::vector<RawEdge>& out);

  // The edges of a frame on a thread's stack (3.11+), or of a frame object (up to 3.10).
  void read_frame(RemoteAddr frame, std::vector<RawEdge>& out);
  // The stack of a frame that runs: while it does, its depth is in a register, and words of it may
  // be left over. kWord, at most `limit`; none where read_frame() knows the depth.
  void read_operands(RemoteAddr frame, std::uint64_t limit, std::vector<RawEdge>& out);
  // The names that instances share, of a table of keys that is a node of its own.
  void read_shared_keys(RemoteAddr keys, std::vector<RawEdge>& out);
  // The dict of interned strings: its references do not count, so they are weak.
  void add_weak_dict(RemoteAddr dict) { weak_dicts_.push_back(dict); }

  // Words of arrays and tables that may still be read. A heap that contradicts itself can claim one
  // large array for each of its objects; at 0, arrays end early.
  void set_budget(std::uint64_t words) { budget_ = words; }
  bool budget_spent() const { return budget_ == 0; }

  // A container may refer to as much as all other objects together: `sink` takes what was read of
  // its items so far, now and then, and empties `out`.
  void set_sink(std::function<void(std::vector<RawEdge>& out)> sink) { sink_ = std::move(sink); }

 private:
  using Bytes = std::span<const std::byte>;
  using Edges = std::vector<RawEdge>;
  struct KeyTable {
    RemoteAddr entries;
    std::uint64_t count = 0;  // entries ever used
    std::uint64_t entry_size = 24, key_at = 8;
  };
  // Names that edges have in all versions.
  struct Names {
    NameIndex type, stack, item, subclasses, attribute_name, name, qualname, slots, module, base,
        dtype, locals, globals, builtins, function, code, frame, cached, entry, tag, text, tail,
        attrib, callback, condition;
  };
  using Variables = std::vector<NameIndex>;  // of a code object, in the order of a frame's slots

  const EdgePlan& plan_of(const TypeFacts& type);
  const Variables& variables_of(RemoteAddr code);
  void append_variables(RemoteAddr tuple, Variables& out);

  void read_body(RemoteAddr object, const EdgePlan& plan, Bytes head, Edges& out);
  void scan_items(RemoteAddr object, const EdgePlan& plan, Edges& out);

  // container_edges.cpp
  void read_array(RemoteAddr first, std::uint64_t count, EdgeKind kind, std::uint64_t value,
                  Edges& out);
  void read_dict(Bytes head, Edges& out);
  std::optional<KeyTable> key_table(RemoteAddr keys);
  void read_entries(const KeyTable& table, Edges& out);
  void read_split(const KeyTable& table, RemoteAddr values, Edges& out);
  void read_ordered_nodes(Bytes head, Edges& out);
  void read_set(Bytes head, Edges& out);
  void read_deque(Bytes head, Edges& out);

  // instance_edges.cpp
  void read_attributes(RemoteAddr object, const EdgePlan& plan, Edges& out);
  void read_managed(RemoteAddr object, const EdgePlan& plan, Edges& out);
  void read_values(RemoteAddr values, const EdgePlan& plan, Edges& out);
  void read_type(RemoteAddr object, Edges& out);
  void read_static_type(RemoteAddr object, std::uint64_t index, Edges& out);
  void read_ndarray(RemoteAddr object, Edges& out);

  // module_states.cpp
  void read_module_state(Bytes head, Edges& out);
  void apply_module_rules(std::string_view module, RemoteAddr state, std::uint64_t size,
                          std::size_t before, Edges& out);
  void read_callbacks(RemoteAddr at, Edges& out);
  void read_conditions(RemoteAddr word, Edges& out);
  void read_ring(RemoteAddr object, Edges& out);
  void read_capsule(RemoteAddr object, std::uint32_t size, Edges& out);

  // library_edges.cpp
  void read_cache_entries(RemoteAddr object, Edges& out);
  void read_element(RemoteAddr object, Edges& out);
  void read_tee_data(RemoteAddr object, Edges& out);

  // frame_edges.cpp
  void read_closure(Bytes head, Edges& out);
  void read_code(RemoteAddr object, Edges& out);
  void read_generator(RemoteAddr object, Edges& out);
  void read_frame_object(RemoteAddr object, Edges& out);
  void read_slots(RemoteAddr first, std::uint64_t count, const Variables& names, Edges& out);
  void read_old_frame(RemoteAddr frame, Edges& out);
  std::uint64_t stack_depth(RemoteAddr first, std::uint64_t top) const;

  std::uint64_t field(Bytes head, Field field) const {
    const Slot slot = layout_.slots[static_cast<std::size_t>(field)];
    std::uint64_t value = 0;
    if (slot.width <= sizeof(value) && slot.offset + std::size_t{slot.width} <= head.size())
      std::memcpy(&value, head.data() + slot.offset, slot.width);
    return value;
  }
  static std::uint64_t word_at(Bytes bytes, std::size_t offset) {
    std::uint64_t value = 0;
    if (offset + sizeof(value) <= bytes.size())
      std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
  }
  static void add(Edges& out, std::uint64_t to, EdgeKind kind, std::uint64_t value,
                  bool weak = false) {
    if (is_plausible(RemoteAddr{to})) out.push_back({RemoteAddr{to}, value, kind, weak});
  }
  // What an object says it has is not paid for, only what was there: one that claims 2^40 items
  // must not leave nothing for the others.
  std::uint64_t affordable(std::uint64_t words) const { return words < budget_ ? words : budget_; }
  void pay(std::uint64_t words) { budget_ -= affordable(words); }
  void spill(Edges& out) {
    constexpr std::size_t kMany = std::size_t{1} << 16;
    if (sink_ && !marks_weak_ && out.size() >= kMany) sink_(out);
  }

  const Layout& layout_;
  EdgePlans& plans_;
  ObjectReader strings_;
  HeapBytes heads_, bodies_, others_;  // each keeps the view it used last
  std::vector<const EdgePlan*> by_type_;
  std::unordered_map<RemoteAddr, Variables> variables_;
  std::vector<RemoteAddr> weak_dicts_;
  std::vector<ModuleStateRule> module_rules_;  // of this version
  std::vector<RemoteAddr> interpreters_;  // that have a state of static types of their own
  std::uint64_t reference_mask_ = ~std::uint64_t{0};
  std::uint64_t budget_ = std::uint64_t{1} << 32;
  std::function<void(std::vector<RawEdge>&)> sink_;
  bool marks_weak_ = false;  // what is being read is marked afterwards
  Names names_;
};

}  // namespace memspy::cpython

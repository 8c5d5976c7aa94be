#include "cpython/heap/heap_roots.h"

#include <algorithm>

namespace memspy::cpython {
namespace {

// Each array has one owner, and a few are read by one more way; what is beyond contradicts itself.
constexpr std::uint64_t kReadsOfAWord = 4;

// Of the width that counts: an unsigned 32 bits from 3.14 on, a signed word before.
std::uint64_t reference_count(const Layout& layout, HeapBytes& bytes, RemoteAddr object) {
  const Slot slot = layout.slots[static_cast<std::size_t>(Field::kObjectRefcount)];
  return bytes.load(object + slot.offset, slot.width);
}

}  // namespace

void HeapRoots::find(EdgeReader& edges, HeapCensus& census) {
  const Interpreter& interpreter = input_.interpreter;
  const auto interpreters =
      list_interpreters(input_.memory, interpreter.layout(), interpreter.anchors());
  if (interpreters.has_value()) {
    for (const InterpreterRef& each : *interpreters) {
      const RemoteAddr dict =
          interned_strings(interpreter, input_.memory, input_.symbols, each.address);
      if (dict) weak_dicts_.push_back(dict);
    }
  }
  prepare(edges);
  RootReader(interpreter, input_.memory, input_.symbols, plans_, edges).read(raw_);
  for (const RawRoot& root : raw_) census.reach(root.to);
}

void HeapRoots::prepare(EdgeReader& edges) const {
  for (const RemoteAddr dict : weak_dicts_) edges.add_weak_dict(dict);
  std::uint64_t bytes = 0;
  for (const Mapping& mapping : input_.map) bytes += mapping.writable ? mapping.size() : 0;
  edges.set_budget(bytes / sizeof(std::uint64_t) * kReadsOfAWord);
}

bool HeapRoots::counts_references(const HeapCensus& census, std::size_t node) const {
  return census.type(node) != nullptr && (census.flags(node) & (kNodeImmortal | kNodeStatic)) == 0;
}

std::vector<HeapRoot> HeapRoots::resolve(const HeapCensus& census, HeapBytes& bytes,
                                         ReferenceCounts& counts) {
  std::vector<HeapRoot> roots;
  for (const RawRoot& root : raw_) {
    const NodeIndex node = census.find(root.to);
    if (node == kNoNode) continue;
    if (root.owned) counts.add(node);
    roots.push_back({node, root.kind, root.name});
  }
  const NameIndex immortal = plans_.intern("immortal"), native = plans_.intern("native code");
  for (std::size_t i = 0; i < census.size(); ++i) {
    const NodeIndex node{static_cast<std::uint32_t>(i)};
    const TypeFacts* type = census.type(i);
    if (counts_references(census, i)) {
      const std::uint64_t count =
          reference_count(input_.interpreter.layout(), bytes, census.address(i));
      if (counts.held_by_native(node, count)) roots.push_back({node, RootKind::kNative, native});
    } else if (type != nullptr && type->rule == TypeRule::kType) {
      const TypeFacts* facts = types_.find(census.address(i));
      roots.push_back({node, RootKind::kType, plans_.intern(facts ? facts->name : "type")});
    } else if (type != nullptr) {
      roots.push_back({node, RootKind::kStatic, immortal});
    }
  }
  std::stable_sort(roots.begin(), roots.end(),
                   [](const HeapRoot& a, const HeapRoot& b) { return a.kind < b.kind; });
  return roots;
}

}  // namespace memspy::cpython

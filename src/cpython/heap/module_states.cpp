// Edges of modules' state, and of objects whose references lie in a block of their own.
#include "cpython/heap/module_states.h"

#include <algorithm>
#include <string>

#include "cpython/heap/edge_reader.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kWord = 8;
constexpr std::uint64_t kMaxModuleState = 1 << 16;  // bytes
// PyModuleDef is part of the stable ABI: {m_base, m_name, m_doc, m_size, …}.
constexpr std::uint32_t kModuleDefSize = 0x38;

constexpr ModuleStateRule kRules[] = {
    // cached_running_loop: the thread state has it.
    {"_asyncio", 12, 12, ModuleStatePart::kBorrowed, 0x98},
    // atexitmodule_state; from 3.10 on the interpreter has them.
    {"atexit", 6, 9, ModuleStatePart::kCallbacks, 0},
    // decimal_state: signal_map and cond_map.
    {"_decimal", 13, 15, ModuleStatePart::kConditions, 0},
};

constexpr std::uint32_t kCallbackBytes = 24, kMaxCallbacks = 1 << 20;
constexpr std::uint32_t kConditionName = 0, kConditionFullName = 8, kConditionObject = 24,
                        kConditionBytes = 32, kMaxConditions = 32;
constexpr std::size_t kMaxConditionName = 64;

constexpr std::uint64_t kMaxRing = std::uint64_t{1} << 32;

// PyCapsule of 3.12+: {head, pointer, name, context, destructor, traverse, clear}.
constexpr std::uint32_t kCapsulePointer = 0x10, kCapsuleTraverse = 0x30, kCapsuleBytes = 0x40;

}  // namespace

std::vector<ModuleStateRule> module_state_rules(int minor) {
  std::vector<ModuleStateRule> rules;
  for (const ModuleStateRule& rule : kRules)
    if (rule.first_minor <= minor && minor <= rule.last_minor) rules.push_back(rule);
  return rules;
}

// Words of the state may be references: nobody tells which. What is known of some modules' better
// than that is added, or left out.
void EdgeReader::read_module_state(Bytes head, Edges& out) {
  const RemoteAddr state{field(head, Field::kModuleState)};
  if (!is_plausible(state)) return;
  std::uint64_t size = 0;
  if (layout_.has(Field::kModuleStateSize)) {
    size = field(head, Field::kModuleStateSize);
  } else {
    const RemoteAddr def{field(head, Field::kModuleDef)};
    if (is_plausible(def)) size = others_.word(def + kModuleDefSize);
  }
  if (size > kMaxModuleState) return;
  const RemoteAddr name{field(head, Field::kModuleName)};
  const std::size_t before = out.size();
  read_array(state, size / kWord, EdgeKind::kWord, 0, out);
  const auto text = strings_.read_str(name, kMaxRuledModuleName);
  if (text.has_value()) apply_module_rules(*text, state, size, before, out);
}

// `before`: where the words of the state begin in `out`.
void EdgeReader::apply_module_rules(std::string_view module, RemoteAddr state, std::uint64_t size,
                                    std::size_t before, Edges& out) {
  for (const ModuleStateRule& rule : module_rules_) {
    if (rule.module != module || rule.offset + kWord > size) continue;
    switch (rule.part) {
      case ModuleStatePart::kBorrowed:
        out.erase(std::remove_if(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(),
                                 [&](const RawEdge& edge) {
                                   return edge.kind == EdgeKind::kWord && edge.value == rule.offset;
                                 }),
                  out.end());
        break;
      case ModuleStatePart::kCallbacks:
        read_callbacks(state + rule.offset, out);
        break;
      case ModuleStatePart::kConditions:
        for (std::uint64_t at = 0; at + kWord <= size; at += kWord)
          read_conditions(state + at, out);
        break;
    }
  }
}

void EdgeReader::read_callbacks(RemoteAddr at, Edges& out) {
  const RemoteAddr table{others_.word(at)};
  const std::uint64_t used = std::min<std::uint64_t>(others_.load(at + kWord, 4), kMaxCallbacks);
  const std::uint64_t count = affordable(used);
  for (std::uint64_t i = 0; i < count && is_plausible(table); ++i) {
    pay(1);
    const RemoteAddr callback{others_.word(table + i * kWord)};  // 0: unregistered
    if (!is_plausible(callback)) continue;
    const Bytes parts = others_.bytes(callback, kCallbackBytes);
    for (std::uint32_t part = 0; part + kWord <= parts.size(); part += kWord)
      add(out, word_at(parts, part), EdgeKind::kInternal, names_.callback.value);
  }
}

// Is there such a table? "Inexact" and "decimal.Inexact" say so: no other word leads to the like.
void EdgeReader::read_conditions(RemoteAddr word, Edges& out) {
  const RemoteAddr table{others_.word(word)};
  constexpr std::uint64_t kWords = (kConditionBytes + 2 * kMaxConditionName) / kWord;
  const std::uint64_t count = affordable(kMaxConditions * kWords) / kWords;
  for (std::uint32_t i = 0; i < count && is_plausible(table); ++i) {
    pay(kWords);
    const Bytes entry = others_.bytes(table + i * kConditionBytes, kConditionBytes);
    if (entry.empty()) return;
    const RemoteAddr name{word_at(entry, kConditionName)},
        full_name{word_at(entry, kConditionFullName)}, object{word_at(entry, kConditionObject)};
    const auto end = read_c_string(others_.memory(), name, kMaxConditionName);
    const auto whole = read_c_string(others_.memory(), full_name, kMaxConditionName);
    if (!end.has_value() || !whole.has_value() || !whole->ends_with("." + *end)) return;
    add(out, object.value, EdgeKind::kInternal, names_.condition.value);
  }
}

void EdgeReader::read_ring(RemoteAddr object, Edges& out) {
  const Bytes head = heads_.bytes(object, kRingFields.bytes);
  if (head.empty()) return;
  const RemoteAddr items{word_at(head, kRingFields.items)};
  const std::uint64_t room = word_at(head, kRingFields.room), get = word_at(head, kRingFields.get),
                      used = word_at(head, kRingFields.used);
  if (room > kMaxRing || get >= room || used > room || !is_plausible(items)) return;
  const std::uint64_t first = std::min(used, room - get);
  read_array(items + get * kWord, first, EdgeKind::kIndex, 0, out);
  read_array(items, used - first, EdgeKind::kIndex, first, out);
}

// A capsule that tells the collector of an object has it first in what it points to: _socket's.
void EdgeReader::read_capsule(RemoteAddr object, std::uint32_t size, Edges& out) {
  if (size < kCapsuleBytes) return;  // up to 3.11 they tell of nothing
  const Bytes head = heads_.bytes(object, kCapsuleBytes);
  if (head.empty() || word_at(head, kCapsuleTraverse) == 0) return;
  const RemoteAddr content{word_at(head, kCapsulePointer)};
  if (is_plausible(content)) add(out, others_.word(content), EdgeKind::kWord, 0);
}

}  // namespace memspy::cpython

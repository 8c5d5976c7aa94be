// What is known of the C structures that modules of the standard library keep for themselves,
// beyond that words of them may be references: which are not theirs, and tables beside the
// structure. Data per minor version, from the sources and the debug information of CPython's own
// builds.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace memspy::cpython {

enum class ModuleStatePart : std::uint8_t {
  kBorrowed,    // the word at `offset` refers to an object that the module does not own
  kCallbacks,   // {struct {func, args, kwargs} **table; int used; int room} at `offset`
  kConditions,  // words that lead to tables of {char *name, char *full_name, u32, object}, ended by
                // one without a name
};

struct ModuleStateRule {
  std::string_view module;
  int first_minor = 0, last_minor = 0;
  ModuleStatePart part = ModuleStatePart::kBorrowed;
  std::uint32_t offset = 0;
};

// Names longer than that have no rule.
inline constexpr std::size_t kMaxRuledModuleName = 16;

std::vector<ModuleStateRule> module_state_rules(int minor);

// _queue.SimpleQueue of 3.13+: {head, bool waiting, {put, get, items, room, used}, …}.
struct RingFields {
  std::uint32_t get = 0x20, items = 0x28, room = 0x30, used = 0x38;
  std::uint32_t bytes = 0x48;  // of such an object; a smaller one is something else
};
inline constexpr RingFields kRingFields;

}  // namespace memspy::cpython

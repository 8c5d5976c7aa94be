// One step up a stack, as a row of call frame information says.
#pragma once

#include <cstdint>
#include <optional>

#include "symbolize/cfi_table.h"
#include "unwind/stack_copy.h"

namespace memspy::unwind {

struct CallerState {
  Registers registers;
  std::uint64_t cfa = 0;
};

// nullopt: the CFA is not known, because a register is not, or lies outside the copy. The caller's
// registers that cannot be told are not known in the result.
std::optional<CallerState> follow_row(const symbolize::CfiRow& row, const StackCopy& copy,
                                      const Registers& registers);

// A DWARF expression over registers and the copy. nullopt: an unknown operation, a missing value,
// or too many steps. `initial`: what is on its stack first.
std::optional<std::uint64_t> evaluate(const symbolize::CfiExpression& expression,
                                      const StackCopy& copy, const Registers& registers,
                                      std::optional<std::uint64_t> cfa);

}  // namespace memspy::unwind

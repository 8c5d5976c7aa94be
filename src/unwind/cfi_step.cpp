#include "unwind/cfi_step.h"

namespace memspy::unwind {

using symbolize::CfiHow;
using symbolize::CfiRegister;
using symbolize::CfiRow;

namespace {

std::optional<std::uint64_t> caller_value(const CfiRow& row, const CfiRegister& rule,
                                          const StackCopy& copy, const Registers& registers,
                                          std::uint64_t cfa) {
  const auto number = static_cast<std::uint64_t>(rule.number);
  const auto expression = [&]() -> std::optional<std::uint64_t> {
    if (number >= row.expressions.size()) return std::nullopt;
    return evaluate(row.expressions[number], copy, registers, cfa);
  };
  switch (rule.how) {
    case CfiHow::kAtCfa:
      return copy.word(cfa + number);
    case CfiHow::kCfaPlus:
      return cfa + number;
    case CfiHow::kRegister:
      return registers.find(number);
    case CfiHow::kAtExpression: {
      const auto address = expression();
      return address ? copy.word(*address) : std::nullopt;
    }
    case CfiHow::kExpressionValue:
      return expression();
    case CfiHow::kUndefined:
      break;
  }
  return std::nullopt;
}

}  // namespace

std::optional<CallerState> follow_row(const CfiRow& row, const StackCopy& copy,
                                      const Registers& registers) {
  std::optional<std::uint64_t> cfa;
  if (!row.cfa_by_expression) {
    cfa = registers.find(row.cfa_register);
    if (cfa) *cfa += static_cast<std::uint64_t>(row.cfa_offset);
  } else if (!row.expressions.empty()) {
    cfa = evaluate(row.expressions.front(), copy, registers, std::nullopt);
  }
  if (!cfa) return std::nullopt;
  CallerState caller{registers, *cfa};
  caller.registers.set(symbolize::kDwarfRsp, *cfa);  // by the ABI, unless a rule says otherwise
  for (const CfiRegister& rule : row.registers)
    caller.registers.set(rule.index, caller_value(row, rule, copy, registers, *cfa));
  if (row.return_register != symbolize::kDwarfRip)
    caller.registers.set(symbolize::kDwarfRip, caller.registers.find(row.return_register));
  return caller;
}

}  // namespace memspy::unwind

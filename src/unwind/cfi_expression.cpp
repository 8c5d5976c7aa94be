#include <dwarf.h>

#include <array>
#include <cstddef>

#include "unwind/cfi_step.h"

// Expressions of call frame information: those of PLT stubs, of signal frames and of functions that
// realign their stack. Branches are left out: none of them has any.
namespace memspy::unwind {
namespace {

using symbolize::CfiOperation;
using Value = std::optional<std::uint64_t>;

class Machine {
 public:
  Machine(const StackCopy& copy, const Registers& registers) : copy_(copy), registers_(registers) {}

  bool push(Value value) {
    if (!value || depth_ == stack_.size()) return false;
    stack_[depth_++] = *value;
    return true;
  }
  Value pop() { return depth_ == 0 ? std::nullopt : Value(stack_[--depth_]); }
  bool run(const CfiOperation& op, Value cfa);

 private:
  bool pick(std::uint64_t from_top) {
    return from_top < depth_ && push(stack_[depth_ - 1 - from_top]);
  }
  bool push_register(std::uint64_t index, std::uint64_t offset) {
    const Value value = registers_.find(index);
    return value && push(*value + offset);
  }
  bool binary(const CfiOperation& op);
  bool unary(const CfiOperation& op);

  const StackCopy& copy_;
  const Registers& registers_;
  std::array<std::uint64_t, 32> stack_{};
  std::size_t depth_ = 0;
};

Value combine(std::uint8_t atom, std::uint64_t a, std::uint64_t b) {
  const auto left = static_cast<std::int64_t>(a), right = static_cast<std::int64_t>(b);
  constexpr std::uint64_t kBits = 64;
  switch (atom) {
    case DW_OP_plus:
      return a + b;
    case DW_OP_minus:
      return a - b;
    case DW_OP_and:
      return a & b;
    case DW_OP_or:
      return a | b;
    case DW_OP_xor:
      return a ^ b;
    case DW_OP_mul:
      return a * b;
    case DW_OP_shl:
      return b < kBits ? a << b : 0;
    case DW_OP_shr:
      return b < kBits ? a >> b : 0;
    case DW_OP_shra:
      return static_cast<std::uint64_t>(left >> (b < kBits ? b : kBits - 1));
    case DW_OP_eq:
      return a == b ? 1 : 0;
    case DW_OP_ne:
      return a != b ? 1 : 0;
    case DW_OP_ge:
      return left >= right ? 1 : 0;
    case DW_OP_gt:
      return left > right ? 1 : 0;
    case DW_OP_le:
      return left <= right ? 1 : 0;
    case DW_OP_lt:
      return left < right ? 1 : 0;
    default:
      return std::nullopt;
  }
}

bool Machine::binary(const CfiOperation& op) {
  const Value b = pop(), a = pop();
  return a && b && push(combine(op.atom, *a, *b));
}

bool Machine::unary(const CfiOperation& op) {
  const Value a = pop();
  if (!a) return false;
  if (op.atom == DW_OP_neg) return push(0 - *a);
  if (op.atom == DW_OP_not) return push(~*a);
  if (op.atom == DW_OP_plus_uconst) return push(*a + op.number);
  return push(copy_.word(*a));  // DW_OP_deref
}

bool is_constant(std::uint8_t atom) {
  return (atom >= DW_OP_const1u && atom <= DW_OP_consts) || atom == DW_OP_addr;
}

bool Machine::run(const CfiOperation& op, Value cfa) {
  if (op.atom >= DW_OP_lit0 && op.atom <= DW_OP_lit31) return push(op.atom - DW_OP_lit0);
  if (op.atom >= DW_OP_breg0 && op.atom <= DW_OP_breg31)
    return push_register(op.atom - DW_OP_breg0, op.number);
  if (is_constant(op.atom)) return push(op.number);
  switch (op.atom) {
    case DW_OP_bregx:
      return push_register(op.number, op.number2);
    case DW_OP_call_frame_cfa:
      return push(cfa);
    case DW_OP_dup:
      return pick(0);
    case DW_OP_over:
      return pick(1);
    case DW_OP_pick:
      return pick(op.number);
    case DW_OP_drop:
      return pop().has_value();
    case DW_OP_nop:
      return true;
    case DW_OP_neg:
    case DW_OP_not:
    case DW_OP_plus_uconst:
    case DW_OP_deref:
      return unary(op);
    default:
      return binary(op);
  }
}

}  // namespace

Value evaluate(const symbolize::CfiExpression& expression, const StackCopy& copy,
               const Registers& registers, Value cfa) {
  Machine machine(copy, registers);
  for (const CfiOperation& op : expression) {
    if (!machine.run(op, cfa)) return std::nullopt;
  }
  return machine.pop();
}

}  // namespace memspy::unwind

#include "unwind/cfi_step.h"

#include <dwarf.h>
#include <gtest/gtest.h>

#include <cstring>

namespace memspy::unwind {
namespace {

using symbolize::CfiHow;
using symbolize::CfiRow;
using symbolize::kDwarfRbp;
using symbolize::kDwarfRbx;
using symbolize::kDwarfRip;
using symbolize::kDwarfRsp;

constexpr std::uint64_t kStack = 0x7ffc0000;

StackCopy copy_of(std::vector<std::uint64_t> words) {
  StackCopy copy;
  copy.begin = kStack;
  copy.bytes.resize(words.size() * sizeof(std::uint64_t));
  std::memcpy(copy.bytes.data(), words.data(), copy.bytes.size());
  copy.registers.set(kDwarfRsp, kStack);
  copy.registers.set(kDwarfRip, 0x401000);
  return copy;
}

TEST(CfiStep, FindsTheCallerByOffsetsFromTheCfa) {
  const StackCopy copy = copy_of({1, 0xb0, 0xb1, 0x402000, 5});
  CfiRow row;
  row.cfa_offset = 32;
  row.registers = {{kDwarfRbx, CfiHow::kAtCfa, -24},
                   {kDwarfRbp, CfiHow::kAtCfa, -16},
                   {kDwarfRip, CfiHow::kAtCfa, -8}};
  const auto caller = follow_row(row, copy, copy.registers);
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->cfa, kStack + 32);
  EXPECT_EQ(caller->registers.find(kDwarfRbx), 0xb0U);
  EXPECT_EQ(caller->registers.find(kDwarfRbp), 0xb1U);
  EXPECT_EQ(caller->registers.find(kDwarfRip), 0x402000U);
  EXPECT_EQ(caller->registers.find(kDwarfRsp), kStack + 32);
}

TEST(CfiStep, WhatLiesOutsideOfTheCopyIsNotKnown) {
  const StackCopy copy = copy_of({1, 2});
  CfiRow row;
  row.cfa_offset = 1 << 20;
  row.registers = {{kDwarfRip, CfiHow::kAtCfa, -8}};
  const auto caller = follow_row(row, copy, copy.registers);
  ASSERT_TRUE(caller);
  EXPECT_FALSE(caller->registers.find(kDwarfRip));
}

TEST(CfiStep, ACfaOfAnUnknownRegisterIsNoCfa) {
  const StackCopy copy = copy_of({1, 2});
  CfiRow row;
  row.cfa_register = kDwarfRbp;
  EXPECT_FALSE(follow_row(row, copy, copy.registers));
}

// As the stubs of a PLT have it: rsp + 8, and 8 more in the second half of each 16 bytes.
TEST(CfiStep, EvaluatesTheExpressionOfAPlt) {
  StackCopy copy = copy_of({1, 2});
  CfiRow row;
  row.cfa_by_expression = true;
  row.expressions = {{{DW_OP_breg7, 8, 0},
                      {DW_OP_breg16, 0, 0},
                      {DW_OP_lit15, 0, 0},
                      {DW_OP_and, 0, 0},
                      {DW_OP_lit11, 0, 0},
                      {DW_OP_ge, 0, 0},
                      {DW_OP_lit3, 0, 0},
                      {DW_OP_shl, 0, 0},
                      {DW_OP_plus, 0, 0}}};
  copy.registers.set(kDwarfRip, 0x401006);
  EXPECT_EQ(follow_row(row, copy, copy.registers)->cfa, kStack + 8);
  copy.registers.set(kDwarfRip, 0x40100b);
  EXPECT_EQ(follow_row(row, copy, copy.registers)->cfa, kStack + 16);
}

TEST(CfiStep, ExpressionsThatMakeNoSenseHaveNoValue) {
  const StackCopy copy = copy_of({1, 2});
  const auto value = [&](const symbolize::CfiExpression& expression) {
    return evaluate(expression, copy, copy.registers, std::nullopt);
  };
  EXPECT_FALSE(value({}));
  EXPECT_FALSE(value({{DW_OP_plus, 0, 0}}));                               // nothing to add
  EXPECT_FALSE(value({{DW_OP_call_frame_cfa, 0, 0}}));                     // of the CFA itself
  EXPECT_FALSE(value({{DW_OP_lit1, 0, 0}, {DW_OP_deref, 0, 0}}));          // not in the copy
  EXPECT_FALSE(value({{DW_OP_skip, 0xffff, 0}}));                          // branches
  EXPECT_FALSE(value({{DW_OP_breg3, 0, 0}}));                              // an unknown register
  EXPECT_FALSE(value(symbolize::CfiExpression(100, {DW_OP_lit1, 0, 0})));  // more than it holds
  EXPECT_EQ(value({{DW_OP_breg7, 8, 0}, {DW_OP_deref, 0, 0}}), 2U);
}

}  // namespace
}  // namespace memspy::unwind

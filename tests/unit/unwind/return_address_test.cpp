#include "unwind/return_address.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace memspy::unwind {
namespace {

// The bytes of an instruction at the end, nops in front.
bool is_call(const std::vector<std::uint8_t>& instruction) {
  std::array<std::byte, kLongestCall> before;
  before.fill(std::byte{0x90});
  for (std::size_t i = 0; i < instruction.size(); ++i)
    before[before.size() - instruction.size() + i] = std::byte{instruction[i]};
  return ends_in_call(before);
}

TEST(ReturnAddress, FollowsEveryFormOfACall) {
  EXPECT_TRUE(is_call({0xe8, 0x10, 0x20, 0x30, 0x40}));              // call rel32
  EXPECT_TRUE(is_call({0xff, 0xd0}));                                // call rax
  EXPECT_TRUE(is_call({0x41, 0xff, 0xd4}));                          // call r12
  EXPECT_TRUE(is_call({0xff, 0x50, 0x18}));                          // call [rax+24]
  EXPECT_TRUE(is_call({0xff, 0x90, 0x98, 0, 0, 0}));                 // call [rax+152]
  EXPECT_TRUE(is_call({0xff, 0x15, 0x10, 0x20, 0x30, 0}));           // call [rip+…]
  EXPECT_TRUE(is_call({0xff, 0x14, 0xc5, 0x10, 0x20, 0x30, 0x40}));  // call [rax*8+…]
  EXPECT_TRUE(is_call({0x41, 0xff, 0x54, 0x24, 0x08}));              // call [r12+8]
}

TEST(ReturnAddress, FollowsNothingElse) {
  EXPECT_FALSE(is_call({0x90}));
  EXPECT_FALSE(is_call({0xff, 0xe0}));                    // jmp rax
  EXPECT_FALSE(is_call({0xe9, 0x10, 0x20, 0x30, 0x40}));  // jmp rel32
  EXPECT_FALSE(is_call({0xff, 0x30}));                    // push [rax]
  EXPECT_FALSE(is_call({0xff, 0xc0}));                    // inc eax
  EXPECT_FALSE(is_call({0x48, 0x8b, 0x05, 1, 0, 0, 0}));  // mov rax, [rip+1]
}

}  // namespace
}  // namespace memspy::unwind

// Machine code as compilers have made it of CPython's allocator functions, by version and build.
#include <gtest/gtest.h>

#include <initializer_list>

#include "cpython/allocators/domain_table.h"
#include "cpython/allocators/inlined_calls.h"
#include "support/fake_memory.h"

namespace memspy::cpython {
namespace {

using memspy::testing::FakeMemory;

constexpr RemoteAddr kCode{0x400000}, kData{0x600000}, kMalloc{0x401000};

std::vector<std::byte> code(std::initializer_list<int> bytes) {
  std::vector<std::byte> out;
  for (const int byte : bytes) out.push_back(static_cast<std::byte>(byte));
  return out;
}

void put32(std::vector<std::byte>& bytes, std::size_t at, std::uint64_t value) {
  const auto low = static_cast<std::uint32_t>(value);
  std::memcpy(bytes.data() + at, &low, sizeof(low));
}

// Functions begin at multiples of 256 behind kMalloc.
bool is_function(RemoteAddr at) {
  return at >= kMalloc && at.value < kMalloc.value + 0x1000 && at.value % 256 == 0;
}

class DomainTables : public ::testing::Test {
 protected:
  DomainTables() {
    memory_.add_segment(kData, 0x2000);
    // {context, malloc, calloc, realloc, free}
    for (std::uint64_t i = 0; i < 4; ++i)
      memory_.write(RemoteAddr{kTable.value + 8 * i}, kMalloc.value + 256 * i);
  }
  static constexpr RemoteAddr kTable{0x600318};

  std::optional<DomainTable> find(const std::vector<std::byte>& text) const {
    return find_domain_table(memory_, text, kCode, is_function);
  }
  void expect_found(const std::vector<std::byte>& text) const {
    const auto table = find(text);
    ASSERT_TRUE(table);
    EXPECT_EQ(
        *table,
        (DomainTable{
            kTable, kMalloc, {kMalloc.value + 256}, {kMalloc.value + 512}, {kMalloc.value + 768}}));
  }

  FakeMemory memory_;
};

TEST_F(DomainTables, AJumpThroughTheTable) {  // shared 3.6 to 3.11
  auto text = code({0x48, 0x85, 0xff, 0x78, 0x00, 0xff, 0x25, 0, 0, 0, 0});
  put32(text, 7, kTable.value - (kCode.value + 11));
  expect_found(text);
}

TEST_F(DomainTables, ALoadOfThePointerThatIsComparedWithItsUsualValue) {  // Debian's static 3.11
  auto text = code({0x53, 0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x48, 0x3d, 0x00, 0x10, 0x40, 0x00});
  put32(text, 4, kTable.value - (kCode.value + 8));
  expect_found(text);
}

TEST_F(DomainTables, AFieldOfTheRuntimeThatTheGlobalOffsetTableKnows) {  // shared 3.12 and later
  memory_.write(RemoteAddr{0x601000}, kData.value);
  auto text = code({0x48, 0x8b, 0x05, 0, 0,    0,    0,    0x48, 0x8b, 0xb8,
                    0x10, 0x03, 0,    0, 0xff, 0xa0, 0x18, 0x03, 0,    0});
  put32(text, 3, 0x601000 - (kCode.value + 7));
  expect_found(text);
}

TEST_F(DomainTables, AFieldOfTheRuntimeWhoseAddressIsTaken) {  // without optimization
  auto text = code({0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x48, 0x8b, 0x90, 0x18, 0x03, 0, 0});
  put32(text, 3, kData.value - (kCode.value + 7));
  expect_found(text);
}

TEST_F(DomainTables, WhatIsNoTableIsNotTakenForOne) {
  auto text = code({0xff, 0x25, 0, 0, 0, 0});
  put32(text, 2, kTable.value + 8 - (kCode.value + 6));  // calloc, realloc, free, and nothing
  EXPECT_FALSE(find(text));
  put32(text, 2, kTable.value - (kCode.value + 6));
  memory_.write(RemoteAddr{kTable.value + 24}, kMalloc.value + 1);  // in the middle of a function
  EXPECT_FALSE(find(text));
  EXPECT_FALSE(find({}));
  EXPECT_FALSE(find(code({0xff, 0x25})));
  put32(text, 2, 0x7fffffff);
  EXPECT_FALSE(find(text));  // nothing is mapped there
}

TEST_F(DomainTables, ATableIsReadAgain) {
  EXPECT_EQ(read_domain_table(memory_, kTable)->free.value, kMalloc.value + 768);
  EXPECT_FALSE(read_domain_table(memory_, {0x10}));
}

constexpr std::uint64_t kUsual[] = {0x401000, 0x401100};

TEST(InlinedCalls, AComparisonWithAnAbsoluteAddress) {
  const auto text = code({0x90, 0x48, 0x3d, 0x00, 0x10, 0x40, 0x00, 0x75, 0x20,    // cmp, %rax
                          0x49, 0x81, 0xfa, 0x00, 0x11, 0x40, 0x00, 0x75, 0x20,    // cmp, %r10
                          0x48, 0x3d, 0x00, 0x12, 0x40, 0x00, 0x75, 0x20, 0xc3});  // another's
  EXPECT_EQ(find_guards(text, 0x500000, kUsual), (std::vector<std::uint64_t>{0x500001, 0x500009}));
}

TEST(InlinedCalls, AnAddressInARegisterThatIsComparedWith) {
  auto text = code({0x48, 0x8d, 0x15, 0, 0, 0, 0, 0x48, 0x39, 0xd0, 0x75, 0x20, 0x90, 0x90});
  put32(text, 3, 0x401000 - (0x500000 + 7));
  EXPECT_EQ(find_guards(text, 0x500000, kUsual), (std::vector<std::uint64_t>{0x500000}));
  text[8] = std::byte{0x89};  // stored instead: a table is filled
  EXPECT_TRUE(find_guards(text, 0x500000, kUsual).empty());
}

TEST(InlinedCalls, NothingInVeryLittle) {
  for (std::size_t size = 0; size < 8; ++size)
    EXPECT_TRUE(find_guards(std::vector<std::byte>(size, std::byte{0x48}), 0, kUsual).empty());
}

}  // namespace
}  // namespace memspy::cpython

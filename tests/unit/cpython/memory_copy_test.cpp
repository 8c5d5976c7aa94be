#include "cpython/memory_copy.h"

#include <gtest/gtest.h>

#include "support/fake_memory.h"

namespace memspy::cpython {
namespace {

constexpr RemoteAddr kBase{0x10000};

class MemoryCopyTest : public ::testing::Test {
 protected:
  MemoryCopyTest() {
    memory_.add_segment(kBase, 0x4000);
    for (std::uint64_t at = 0; at < 0x4000; at += 8) memory_.write(kBase + at, at);
  }
  std::uint64_t word(std::uint64_t offset) const {
    return field_of(copy_.find(kBase + offset, 8), {0, 8});
  }
  testing::FakeMemory memory_;
  MemoryCopy copy_{memory_};
};

TEST_F(MemoryCopyTest, NeighboursAreOnePiece) {
  for (const std::uint64_t at : {0x800ULL, 0x10ULL, 0x10ULL, 0xff8ULL, 0x1100ULL})
    copy_.want(kBase + at, 8);
  copy_.fetch();
  EXPECT_EQ(memory_.reads, 1u);
  EXPECT_EQ(word(0x10), 0x10u);
  EXPECT_EQ(word(0x1100), 0x1100u);
  EXPECT_EQ(word(0x808), 0x808u);  // between them, so copied too
  EXPECT_TRUE(copy_.find(kBase, 8).empty());
}

TEST_F(MemoryCopyTest, DistantOnesAreNot) {
  copy_.want(kBase, 8);
  copy_.want(kBase + 0x3000, 8);
  copy_.fetch();
  EXPECT_EQ(memory_.reads, 2u);
  EXPECT_EQ(word(0x3000), 0x3000u);
  EXPECT_TRUE(copy_.find(kBase + 0x3004, 8).empty());
}

TEST_F(MemoryCopyTest, WhatIsThereIsNotReadAgain) {
  copy_.want(kBase, 64);
  copy_.fetch();
  copy_.want(kBase + 8, 16);
  copy_.fetch();
  EXPECT_EQ(memory_.reads, 1u);
  copy_.clear();
  EXPECT_TRUE(copy_.find(kBase, 8).empty());
  copy_.want(kBase, 8);
  copy_.fetch();
  EXPECT_EQ(memory_.reads, 2u);
}

TEST_F(MemoryCopyTest, LaterBatchesAreFoundBesideEarlierOnes) {
  for (std::uint64_t i = 0; i < 4; ++i) {
    copy_.want(kBase + 0x1000 * i, 0x20);
    copy_.fetch();
  }
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(word(0x1000 * i + 8), 0x1000 * i + 8);
}

TEST_F(MemoryCopyTest, WhatIsNotMappedIsNotFound) {
  copy_.want(kBase + 0x3ff0, 0x40);
  copy_.want(RemoteAddr{0x90000}, 8);
  copy_.fetch();
  EXPECT_TRUE(copy_.find(RemoteAddr{0x90000}, 8).empty());
  EXPECT_TRUE(copy_.find(kBase + 0x3ff0, 0x40).empty());
  EXPECT_EQ(copy_.find_prefix(kBase + 0x3ff0, 0x40).size(), 0x10u);
  EXPECT_EQ(word(0x3ff8), 0x3ff8u);
}

TEST_F(MemoryCopyTest, NonsenseIsNotAskedFor) {
  copy_.want(RemoteAddr{0}, 8);
  copy_.want(kBase, 0);
  copy_.want(RemoteAddr{UINT64_MAX - 4}, 8);
  copy_.want(kBase, std::size_t{1} << 40);
  copy_.fetch();
  EXPECT_EQ(memory_.reads, 0u);
}

TEST(FieldOf, EndsWithItsBytes) {
  const std::byte bytes[] = {std::byte{1}, std::byte{2}, std::byte{3}};
  EXPECT_EQ(field_of(bytes, {1, 2}), 0x0302u);
  EXPECT_EQ(field_of(bytes, {2, 2}), 0u);
  EXPECT_EQ(field_of(bytes, {UINT32_MAX, 8}), 0u);
}

}  // namespace
}  // namespace memspy::cpython

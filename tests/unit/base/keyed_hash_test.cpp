#include "base/keyed_hash.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "support/result_matchers.h"

namespace memspy {
namespace {

std::vector<std::byte> counting(std::size_t length) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < length; ++i) bytes.push_back(static_cast<std::byte>(i));
  return bytes;
}

// Of the reference implementation's vectors.h: keys 00 01 … 0f, messages 00 01 … of each length.
TEST(KeyedHash, IsSipHash24) {
  const HashKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  EXPECT_EQ(keyed_hash(key, {}), 0x726fdb47dd0e0e31U);
  EXPECT_EQ(keyed_hash(key, counting(1)), 0x74f839c593dc67fdU);
  EXPECT_EQ(keyed_hash(key, counting(8)), 0x93f5f5799a932462U);
  EXPECT_EQ(keyed_hash(key, counting(15)), 0xa129ca6149be45e5U);
}

TEST(KeyedHash, DependsOnItsKey) {
  const auto one = random_hash_key(), other = random_hash_key();
  ASSERT_THAT(one, testing::IsOk());
  ASSERT_THAT(other, testing::IsOk());
  EXPECT_NE(keyed_hash(*one, counting(20)), keyed_hash(*other, counting(20)));
  EXPECT_EQ(keyed_hash(*one, counting(20)), keyed_hash(*one, counting(20)));
}

}  // namespace
}  // namespace memspy

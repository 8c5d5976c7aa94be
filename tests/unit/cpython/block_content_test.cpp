// Whether a block still holds the object that it held: most blocks are taken again at once, often
// by an object of the same kind.
#include "cpython/pools/block_content.h"

#include <gtest/gtest.h>

#include <vector>

#include "cpython/layouts.h"
#include "cpython/strategies.h"
#include "support/py_process.h"

namespace memspy::cpython {
namespace {

using memspy::testing::PyProcess;
using Words = std::vector<std::uint64_t>;

class SameObject : public ::testing::Test {
 protected:
  SameObject()
      : process_(*layout_for(13)), content_(process_.image().layout(), process_.memory()) {}

  std::uint64_t type(const char* name, std::uint64_t flags = 0) {
    return process_.image().add_type(name, flags).value;
  }
  // Of blocks that begin with a count and this type.
  bool same(std::uint64_t type, const Words& then, const Words& now) {
    return content_.same_object(bytes(1, type, then), bytes(2, type, now));
  }

 private:
  static std::vector<std::byte> bytes(std::uint64_t count, std::uint64_t type, const Words& words) {
    Words all{count, type};
    all.insert(all.end(), words.begin(), words.end());
    const auto view = std::as_bytes(std::span(all));
    return {view.begin(), view.end()};
  }

  PyProcess process_;
  BlockContent content_;
};

constexpr std::uint64_t kNotYet = UINT64_MAX;

TEST_F(SameObject, AHashIsComputedLateAndTheRestOfBytesNever) {
  const auto of = type("bytes", kTypeBytesSubclass);
  EXPECT_TRUE(same(of, {20, kNotYet, 7, 8, 9}, {20, 4711, 7, 8, 9}));
  EXPECT_FALSE(same(of, {20, kNotYet, 7, 8, 9}, {20, kNotYet, 7, 8, 10}));
  EXPECT_FALSE(same(of, {20, kNotYet, 7, 8, 9}, {21, kNotYet, 7, 8, 9}));
}

TEST_F(SameObject, ATextIsInternedLateAndEncodedLate) {
  const auto of = type("str", kTypeUnicodeSubclass);
  EXPECT_TRUE(same(of, {20, kNotYet, 1, 0, 0, 7, 8, 9}, {20, 4711, 2, 30, 0x7000, 7, 8, 9}));
  EXPECT_FALSE(same(of, {20, kNotYet, 1, 5, 6, 7, 8, 9}, {20, kNotYet, 1, 5, 6, 7, 8, 10}));
  EXPECT_FALSE(same(of, {20, kNotYet, 1, 5, 6, 7, 8, 9}, {20, kNotYet, 1, 6, 6, 7, 8, 9}));
}

TEST_F(SameObject, ANumberIsAnother) {
  EXPECT_FALSE(same(type("float"), {1}, {2}));
  EXPECT_FALSE(same(type("int", kTypeLongSubclass), {8, 1}, {8, 2}));
  EXPECT_TRUE(same(type("int", kTypeLongSubclass), {8, 1}, {8, 1}));
}

TEST_F(SameObject, AListGrowsAndAnObjectGetsAnAttributeAnew) {
  EXPECT_TRUE(same(type("list", kTypeListSubclass), {3, 0x1000, 4}, {9, 0x2000, 16}));
  const auto of = type("Node");
  EXPECT_TRUE(same(of, {1, 2, 3, 4}, {1, 2, 3, 5}));
  EXPECT_FALSE(same(of, {1, 2, 3, 4}, {1, 6, 7, 8}));
}

TEST_F(SameObject, AnotherTypeIsAnother) {
  const Words words{1, 2, 3};
  const auto of = type("Node"), other = type("Edge");
  EXPECT_TRUE(same(of, words, words));
  EXPECT_FALSE(same(of, {other, 2, 3}, {of, 9, 9}));
}

}  // namespace
}  // namespace memspy::cpython

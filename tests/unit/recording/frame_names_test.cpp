#include "recording/frame_names.h"

#include <gtest/gtest.h>

#include "recording/profile.h"
#include "recording/shaped.h"
#include "support/result_matchers.h"

namespace memspy::recording {
namespace {

using namespace std::chrono_literals;
using memspy::testing::IsOk;

constexpr ProcessIndex kProcess{1};
constexpr ThreadIndex kThread{1};

Frame address(std::uint64_t at) {
  Frame frame;
  frame.kind = FrameKind::kNative;
  frame.code = {"/lib/libc.so.6", "abcd", at};
  return frame;
}

// Two addresses of one function, the second of them inlined into another.
class ExpandNames : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(profile_.on_frame({1}, Frame{"work", "a.py", 3, FrameKind::kPython}), IsOk());
    ASSERT_THAT(profile_.on_frame({2}, address(16)), IsOk());
    ASSERT_THAT(profile_.on_frame({3}, address(32)), IsOk());
    ASSERT_THAT(profile_.on_stack({1}, {kNoStack, {1}}), IsOk());
    ASSERT_THAT(profile_.on_stack({2}, {StackId{1}, {2}}), IsOk());
    ASSERT_THAT(profile_.on_stack({3}, {StackId{1}, {3}}), IsOk());
    const Frame malloc{"malloc", "malloc.c", 7, FrameKind::kNative};
    profile_.names[{2}] = {malloc};
    profile_.names[{3}] = {malloc};
  }
  std::string names_of(StackId stack) const {
    std::string text;
    for (const FrameId id : profile_.stacks.frames_of(stack))
      text += profile_.stacks.frame(id).function + ";";
    return text;
  }

  Profile profile_;
};

TEST_F(ExpandNames, WhatHasOneNameBecomesOneStack) {
  profile_.growth[{kProcess, kThread, {2}}] = {4096, 0, 1};
  profile_.growth[{kProcess, kThread, {3}}] = {8192, 4096, 2};
  expand_names(profile_);
  ASSERT_EQ(profile_.growth.size(), 1u);
  EXPECT_EQ(profile_.growth.begin()->second.touched_bytes, 12288u);
  EXPECT_EQ(profile_.growth.begin()->second.samples, 3u);
}

// Time that was not spent allocating has no stack, and stays as it is.
TEST_F(ExpandNames, TimeSpentAllocatingFollowsItsStacks) {
  profile_.allocation[{kProcess, kThread, {2}}] = {3ms, 3};
  profile_.allocation[{kProcess, kThread, {3}}] = {4ms, 4};
  profile_.allocation[{kProcess, kThread, kNoStack}] = {50ms, 50};
  expand_names(profile_);
  EXPECT_EQ(profile_.allocating().time, 7ms);
  EXPECT_EQ(profile_.not_allocating().time, 50ms);
  ASSERT_EQ(profile_.allocation.size(), 2u);
  EXPECT_EQ(names_of(profile_.allocation.rbegin()->first.stack), "work;malloc;");
}

TEST_F(ExpandNames, SurvivorsFollowTheirStacks) {
  LiveRecord record;
  record.process = kProcess;
  record.thread = kThread;
  record.stack = {3};
  ASSERT_THAT(profile_.on_live(record), IsOk());
  ASSERT_THAT(profile_.on_temporary({{}, kProcess, kThread, {3}, 5}), IsOk());
  expand_names(profile_);
  EXPECT_EQ(names_of(profile_.live.front().stack), "work;malloc;");
  EXPECT_EQ(names_of(profile_.temporaries.front().stack), "work;malloc;");
}

}  // namespace
}  // namespace memspy::recording

#include "sampler/caller_chains.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace memspy::sampler {
namespace {

using attach::FaultRecord;
using attach::kFaultRegisters;
using cpython::RawFrame;
using cpython::RawStack;

constexpr std::uint64_t kThreadPointer = 0x7f0000100000;
constexpr std::uint64_t kFrames = 0x7f2000000000;
constexpr std::uint64_t kOutermostCode = 0x7f1000002000;

// A helper's stack: its frame, called by `caller` at an instruction, called by main.
RawStack helper_stack(std::uint64_t frame, std::uint32_t caller, std::int32_t instruction) {
  RawStack stack;
  stack.frames = {{{frame}, 1, 20, {0x7f1000000000}},
                  {{kFrames + 64}, caller, instruction, {kOutermostCode + 1000UL * caller}},
                  {{kFrames}, 99, 40, {kOutermostCode}}};
  stack.bytecode_size = 200;
  return stack;
}

// `words` by how deep in the stack they lie.
FaultRecord record_by_depth(std::uint64_t code, std::uint64_t depth,
                            const std::map<std::uint64_t, std::uint64_t>& words) {
  FaultRecord record;
  record.code = code;
  record.stack = kThreadPointer - depth;
  std::vector<std::uint64_t> all(kFaultRegisters + 64, 0);
  for (const auto& [where, word] : words) all[kFaultRegisters + (depth - where) / 8] = word;
  record.words = attach::FaultWords(std::move(all));
  return record;
}

class CallerChainsTest : public testing::Test {
 protected:
  void stop(const RawStack& stack, const FaultRecord& record) {
    chains.enter(stack, {&record, kThreadPointer});
  }
  std::uint32_t caller(const FaultRecord& record) {
    return chains.choose({&record, kThreadPointer}).stack.frames[1].code;
  }

  CallerChains chains;
};

TEST_F(CallerChainsTest, OneChainIsTakenWhateverTheRecordHolds) {
  stop(helper_stack(kFrames + 128, 2, 10), record_by_depth(0x5000, 512, {}));
  EXPECT_EQ(caller(record_by_depth(0x6000, 256, {})), 2u);
}

// 3.11 and later: frames of other sizes outside, so the function's own lies elsewhere.
TEST_F(CallerChainsTest, TheFunctionsFrameTellsItsCallers) {
  const auto from = [](std::uint64_t frame) {
    return record_by_depth(0x5000, 512, {{400, frame}});
  };
  for (int i = 0; i < 2; ++i) {
    stop(helper_stack(kFrames + 128, 2, 10), from(kFrames + 128));
    stop(helper_stack(kFrames + 192, 3, 10), from(kFrames + 192));
  }
  EXPECT_EQ(caller(from(kFrames + 128)), 2u);
  EXPECT_EQ(caller(from(kFrames + 192)), 3u) << "not the one seen last alone";
}

// Before 3.11: the caller's instruction, in its own evaluation loop.
TEST_F(CallerChainsTest, ACallersInstructionTells) {
  const auto from = [](std::uint32_t code) {
    return record_by_depth(0x5000, 512, {{320, kOutermostCode + 1000UL * code + 12}});
  };
  for (int i = 0; i < 2; ++i) {
    stop(helper_stack(0, 2, 10), from(2));
    stop(helper_stack(0, 3, 10), from(3));
  }
  EXPECT_EQ(caller(from(2)), 2u);
  EXPECT_EQ(caller(from(3)), 3u);
}

// Before 3.11 too: callers further out than the record reaches, but so many that the stack is
// deeper.
TEST_F(CallerChainsTest, TheDepthTells) {
  for (int i = 0; i < 2; ++i) {
    stop(helper_stack(0, 2, 10), record_by_depth(0x5000, 512, {}));
    stop(helper_stack(0, 3, 10), record_by_depth(0x5000, 912, {}));
  }
  EXPECT_EQ(caller(record_by_depth(0x5000, 512, {})), 2u);
  EXPECT_EQ(caller(record_by_depth(0x5000, 912, {})), 3u);
}

// What all callers share says nothing, however often it was seen with one of them.
TEST_F(CallerChainsTest, MarksOfSharedOuterFramesDoNotOutvote) {
  const auto from = [](std::uint64_t frame) {
    return record_by_depth(0x5000, 512,
                           {{400, frame}, {80, kFrames}, {72, kOutermostCode + 42}, {64, kFrames}});
  };
  stop(helper_stack(kFrames + 192, 3, 10), from(kFrames + 192));
  for (int i = 0; i < 50; ++i) stop(helper_stack(kFrames + 128, 2, 10), from(kFrames + 128));
  stop(helper_stack(kFrames + 192, 3, 10), from(kFrames + 192));
  EXPECT_EQ(caller(from(kFrames + 192)), 3u);
  EXPECT_EQ(caller(from(kFrames + 128)), 2u);
}

TEST_F(CallerChainsTest, RegistersCountAtTheirInstructionAlone) {
  const auto from = [](std::uint64_t code, std::uint64_t frame) {
    FaultRecord record = record_by_depth(code, 512, {});
    std::vector<std::uint64_t> words(kFaultRegisters + 64, 0);
    words[2] = frame;
    record.words = attach::FaultWords(std::move(words));
    return record;
  };
  for (int i = 0; i < 2; ++i) {
    stop(helper_stack(kFrames + 128, 2, 10), from(0x5000, kFrames + 128));
    stop(helper_stack(kFrames + 192, 3, 10), from(0x5000, kFrames + 192));
  }
  EXPECT_EQ(caller(from(0x5000, kFrames + 128)), 2u);
  EXPECT_EQ(caller(from(0x6000, kFrames + 128)), 3u) << "another instruction: seen last";
}

TEST_F(CallerChainsTest, WhatWasSupposedGoesWithTheFirstStack) {
  chains.suppose(helper_stack(kFrames + 128, 2, 10), false);
  const auto record = record_by_depth(0x5000, 512, {});
  EXPECT_EQ(caller(record), 2u);
  EXPECT_FALSE(chains.choose({&record, kThreadPointer}).known);
  chains.enter(helper_stack(kFrames + 192, 3, 10));
  EXPECT_EQ(caller(record_by_depth(0x5000, 512, {{400, kFrames + 128}})), 3u);
  EXPECT_TRUE(chains.choose({&record, kThreadPointer}).known);
}

// Coroutines that await one helper: nothing tells them apart, and the commonest must not have it
// all.
TEST_F(CallerChainsTest, WhereNothingTellsTheLastOneSeenIsTaken) {
  const auto record = record_by_depth(0x5000, 512, {{400, kFrames + 128}});
  for (int i = 0; i < 20; ++i) stop(helper_stack(kFrames + 128, 2, 10), record);
  for (int i = 0; i < 2; ++i) stop(helper_stack(kFrames + 128, 3, 10), record);
  EXPECT_EQ(caller(record), 3u);
  stop(helper_stack(kFrames + 128, 2, 10), record);
  EXPECT_EQ(caller(record), 2u);
}

// More marks than there is room for: each chain keeps some.
TEST_F(CallerChainsTest, ManyCallersAreAllTold) {
  const auto from = [](std::uint32_t i) {
    std::map<std::uint64_t, std::uint64_t> words;
    for (std::uint64_t word = 0; word < 4; ++word)
      words[400 - 16 * word - 8 * (i % 2)] = kFrames + 128 + 64 * i;
    return record_by_depth(0x5000, 512, words);
  };
  for (int round = 0; round < 3; ++round)
    for (std::uint32_t i = 0; i < 16; ++i)
      stop(helper_stack(kFrames + 128 + 64 * i, 2 + i, 10), from(i));
  for (std::uint32_t i = 0; i < 16; ++i) EXPECT_EQ(caller(from(i)), 2 + i);
}

// Deep stacks are large: of those fewer are kept.
TEST_F(CallerChainsTest, KeepsFewerChainsOfDeepStacks) {
  for (std::uint32_t i = 0; i < 100; ++i) {
    RawStack stack = helper_stack(kFrames + 128, 2 + i, 10);
    stack.frames.resize(2000, stack.frames.back());
    stop(stack, record_by_depth(0x5000, 512, {{400, kFrames + 128 + 64 * i}}));
  }
  EXPECT_EQ(caller(record_by_depth(0x5000, 512, {{400, kFrames + 128}})), 101u)
      << "the first is gone";
}

TEST_F(CallerChainsTest, StaysBoundedAndForgetsTheOldest) {
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const std::uint64_t frame = kFrames + 128 + 64 * i;
    stop(helper_stack(frame, 2 + i, 10), record_by_depth(0x5000, 512, {{400, frame}}));
  }
  const auto from = [](std::uint32_t i) {
    return record_by_depth(0x5000, 512, {{400, kFrames + 128 + 64 * i}});
  };
  EXPECT_EQ(caller(from(999)), 1001u);
  EXPECT_EQ(caller(from(990)), 992u);
  EXPECT_EQ(caller(from(3)), 1001u) << "forgotten";
}

}  // namespace
}  // namespace memspy::sampler

#include "sampler/fault_matcher.h"

#include <gtest/gtest.h>

#include <map>

namespace memspy::sampler {
namespace {

using attach::FaultRecord;
using cpython::RawStack;

constexpr std::uint64_t kBase = 0x7f0000100000;      // thread pointer
constexpr std::uint64_t kRowsCode = 0x7f1000000000;  // bytecode of two functions
constexpr std::uint64_t kBlobsCode = 0x7f1000001000;
constexpr std::uint64_t kMainCode = 0x7f1000002000;

constexpr std::size_t kStackWord = attach::kFaultRegisters + 10;

// A stack of `function` called by one other, at a byte offset of its bytecode.
RawStack stack_of(std::uint64_t bytecode, std::uint32_t code, std::int32_t instruction) {
  RawStack stack;
  stack.frames = {{{}, code, instruction, {bytecode}}, {{}, 99, 40, {kMainCode}}};
  stack.bytecode_size = 200;
  return stack;
}

FaultRecord record_at(std::uint64_t code, std::uint64_t depth,
                      const std::map<std::size_t, std::uint64_t>& words, std::size_t size = 64) {
  FaultRecord record;
  record.code = code;
  record.stack = kBase - depth;
  std::vector<std::uint64_t> all(size, 0);
  for (const auto& [index, word] : words) all[index] = word;
  record.words = attach::FaultWords(std::move(all));
  return record;
}

class FaultMatcherTest : public testing::Test {
 protected:
  // Names stacks by their code and instruction.
  FaultMatcher::Intern intern = [](const FaultRecord&, const RawStack& stack, bool) {
    return StackId{stack.frames.front().code * 1000 +
                   static_cast<std::uint32_t>(stack.frames.front().instruction)};
  };
  bool learn(const FaultRecord& record, const RawStack& stack,
             FaultEvidence evidence = FaultEvidence::kStopped) {
    return matcher.learn(record, kBase, stack, intern(record, stack, true).stack, evidence);
  }
  std::optional<StackId> match(const FaultRecord& record) {
    return matcher.match(record, kBase, intern);
  }

  FaultPlaces places;
  FaultMatcher matcher{places};
};

TEST_F(FaultMatcherTest, NamesTheFunctionAndTheLineOfALaterFault) {
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 22}})), std::nullopt);
  learn(record_at(0x5000, 512, {{3, kRowsCode + 22}}), stack_of(kRowsCode, 1, 20));
  learn(record_at(0x6000, 256, {{9, kBlobsCode + 52}}), stack_of(kBlobsCode, 2, 50));
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 22}})), StackId{1020});
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 62}})),
            StackId{1060});  // another line of it
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kBlobsCode + 32}})),
            StackId{2030});  // another function there
}

TEST_F(FaultMatcherTest, KnowsNothingOfOtherPlacesAndOtherFunctions) {
  learn(record_at(0x5000, 512, {{3, kRowsCode + 22}}), stack_of(kRowsCode, 1, 20));
  EXPECT_EQ(match(record_at(0x5001, 512, {{3, kRowsCode + 22}})), std::nullopt);
  EXPECT_EQ(match(record_at(0x5000, 520, {{3, kRowsCode + 22}})), std::nullopt);
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 210}})), std::nullopt);
  EXPECT_EQ(match(record_at(0x5000, 512, {})), std::nullopt);
}

TEST_F(FaultMatcherTest, APlaceIsTheSameInEveryThread) {
  learn(record_at(0x5000, 512, {{3, kRowsCode + 22}}), stack_of(kRowsCode, 1, 20));
  FaultMatcher other(places);
  const std::uint64_t base = kBase + 0x800000;
  FaultRecord record = record_at(0x5000, 512, {{3, kRowsCode + 22}});
  record.stack = base - 512;
  // It has not been seen in the function itself: another thread has.
  EXPECT_EQ(other.match(record, base, intern), StackId{1020});
}

TEST_F(FaultMatcherTest, AThreadsOwnCallersComeBeforeThoseOfOthers) {
  const FaultMatcher::Intern by_caller = [](const FaultRecord&, const RawStack& stack, bool) {
    return StackId{static_cast<std::uint32_t>(stack.frames.back().instruction)};
  };
  const auto record = record_at(0x5000, 512, {{3, kRowsCode + 22}});
  RawStack mine = stack_of(kRowsCode, 1, 20), theirs = mine;
  mine.frames.back().instruction = 70;
  theirs.frames.back().instruction = 80;
  FaultMatcher other(places);
  matcher.learn(record, kBase, mine, by_caller(record, mine, true).stack, FaultEvidence::kStopped);
  other.learn(record, kBase, theirs, by_caller(record, theirs, true).stack,
              FaultEvidence::kStopped);
  EXPECT_EQ(matcher.match(record, kBase, by_caller), StackId{70});
  EXPECT_EQ(other.match(record, kBase, by_caller), StackId{80});
  FaultMatcher third(places);
  EXPECT_EQ(third.match(record, kBase, by_caller), StackId{80}) << "as seen last";
}

TEST_F(FaultMatcherTest, WordsThatHeldTheInstructionByChanceAreDropped) {
  learn(record_at(0x5000, 512, {{3, kRowsCode + 22}, {7, kRowsCode + 22}}),
        stack_of(kRowsCode, 1, 20));
  learn(record_at(0x5000, 512, {{3, kRowsCode + 22}, {7, kBlobsCode + 12}}),
        stack_of(kBlobsCode, 2, 10));
  learn(record_at(0x5000, 512, {{3, kRowsCode + 22}, {7, kRowsCode + 42}}),
        stack_of(kRowsCode, 1, 40));
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 22}, {7, kBlobsCode + 32}})),
            StackId{2030});
}

TEST_F(FaultMatcherTest, WordsThatContradictEachOtherWaitForEvidence) {
  // Both held the instruction once; word 3 is left over from an earlier call.
  learn(record_at(0x5000, 512, {{3, kRowsCode + 22}, {7, kRowsCode + 22}}),
        stack_of(kRowsCode, 1, 20));
  learn(record_at(0x7000, 512, {{5, kBlobsCode + 12}}), stack_of(kBlobsCode, 2, 10));
  const auto torn = record_at(0x5000, 512, {{3, kRowsCode + 22}, {7, kBlobsCode + 32}});
  EXPECT_EQ(match(torn), std::nullopt);
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 42}, {7, kRowsCode + 42}})),
            StackId{1040});
  EXPECT_EQ(match(record_at(0x5000, 512, {{7, kBlobsCode + 32}})), StackId{2030});
  const auto before = matcher.generation();
  learn(torn, stack_of(kBlobsCode, 2, 30));
  EXPECT_GT(matcher.generation(), before) << "what waits is tried again";
  EXPECT_EQ(match(torn), StackId{2030});
}

TEST_F(FaultMatcherTest, AGuessNeedsItsInstructionAndASecondOne) {
  const auto rows = stack_of(kRowsCode, 1, 20);
  EXPECT_FALSE(learn(record_at(0x5000, 512, {{3, kBlobsCode + 22}}), rows, FaultEvidence::kMaybe));
  EXPECT_TRUE(learn(record_at(0x5000, 512, {{3, kRowsCode + 22}}), rows, FaultEvidence::kMaybe));
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 22}})), std::nullopt);
  EXPECT_TRUE(learn(record_at(0x5000, 512, {{3, kRowsCode + 22}}), rows, FaultEvidence::kMaybe));
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 22}})), StackId{1020});
}

// A loop that allocates and then sleeps: whenever its stack is read it sleeps, and the sleep before
// has left its instruction where the allocation's frames are now.
TEST_F(FaultMatcherTest, ASleeperDoesNotBecomeTheToucherOfWhatWaits) {
  const auto asleep = stack_of(kRowsCode, 1, 20);
  const auto record = record_at(0x5000, 512, {{3, kBlobsCode + 52}, {9, kRowsCode + 20}});
  learn(record, asleep, FaultEvidence::kWaited);
  for (int look = 0; look < 5; ++look)
    EXPECT_FALSE(learn(record, asleep, FaultEvidence::kWaited)) << look;
  EXPECT_EQ(match(record), std::nullopt);
  learn(record, stack_of(kBlobsCode, 2, 50));
  EXPECT_EQ(match(record), StackId{2050});
  // Two instructions that the record held are evidence.
  learn(record_at(0x7000, 512, {{4, kRowsCode + 20}}), asleep, FaultEvidence::kWaited);
  learn(record_at(0x7000, 512, {{4, kRowsCode + 40}}), stack_of(kRowsCode, 1, 40),
        FaultEvidence::kWaited);
  EXPECT_EQ(match(record_at(0x7000, 512, {{4, kRowsCode + 20}})), StackId{1020});
}

TEST_F(FaultMatcherTest, AWrongGuessIsOutvoted) {
  // The thread was in blobs by the time it was read, and word 11 had a stale pointer into it.
  for (int i = 0; i < 2; ++i) {
    learn(record_at(0x5000, 512, {{3, kRowsCode + 22}, {11, kBlobsCode + 12}}),
          stack_of(kBlobsCode, 2, 10), FaultEvidence::kMaybe);
  }
  for (int i = 0; i < 4; ++i) {
    learn(record_at(0x5000, 512, {{3, kRowsCode + 22}, {11, kBlobsCode + 12}}),
          stack_of(kRowsCode, 1, 20), FaultEvidence::kMaybe);
  }
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 22}, {11, kBlobsCode + 12}})),
            StackId{1020});
}

TEST_F(FaultMatcherTest, APlaceThatWasNeverLearntIsReadLikeOneNearBy) {
  learn(record_at(0x5000, 512, {{3, kRowsCode + 22}}), stack_of(kRowsCode, 1, 20));
  const auto guess = [&](const FaultRecord& record) {
    return matcher.guess(record, kBase, intern);
  };
  const auto near = record_at(0x5080, 512, {{3, kRowsCode + 42}});
  EXPECT_EQ(match(near), std::nullopt);
  EXPECT_EQ(guess(near), StackId{1040});
  EXPECT_EQ(guess(record_at(0x5000 - 0x80, 512, {{3, kRowsCode + 42}})), StackId{1040});
  EXPECT_EQ(guess(record_at(0x5080, 520, {{3, kRowsCode + 42}})), std::nullopt);
  EXPECT_EQ(guess(record_at(0x9000, 512, {{3, kRowsCode + 42}})), std::nullopt);
  EXPECT_EQ(guess(record_at(0x5080, 512, {{3, 0x1234}})), std::nullopt);
  // Seen once, beside a running thread: too little for a match, enough for a guess.
  learn(record_at(0x7000, 256, {{9, kRowsCode + 22}}), stack_of(kRowsCode, 1, 20),
        FaultEvidence::kMaybe);
  EXPECT_EQ(guess(record_at(0x7000, 256, {{9, kRowsCode + 62}})), StackId{1060});
}

TEST_F(FaultMatcherTest, DeepInNativeCodeThePlaceHasTheLastStack) {
  learn(record_at(0x5000, 4096, {}), stack_of(kRowsCode, 1, 20));
  EXPECT_EQ(match(record_at(0x5000, 4096, {})), StackId{1020});
  learn(record_at(0x5000, 4096, {}), stack_of(kBlobsCode, 2, 30));
  EXPECT_EQ(match(record_at(0x5000, 4096, {})), StackId{2030});
}

TEST_F(FaultMatcherTest, AGuessDoesNotTakeTheLastStackAway) {
  learn(record_at(0x5000, 4096, {}), stack_of(kRowsCode, 1, 20));
  learn(record_at(0x5000, 4096, {{5, kBlobsCode + 32}}), stack_of(kBlobsCode, 2, 30),
        FaultEvidence::kMaybe);
  EXPECT_TRUE(match(record_at(0x5000, 4096, {})).has_value());
}

// The loop calls whatever C function from the same depth: where one record held the instruction,
// that of a place nobody has been stopped at holds it too.
TEST_F(FaultMatcherTest, APlaceThatWasNeverLearntIsReadAtTheLoopsDepth) {
  learn(record_at(0x5000, 512, {{kStackWord, kRowsCode + 20}}), stack_of(kRowsCode, 1, 20));
  const auto deeper = record_at(0x9000, 512 + 80, {{kStackWord + 10, kRowsCode + 40}});
  EXPECT_EQ(match(deeper), std::nullopt);
  EXPECT_EQ(matcher.guess(deeper, kBase, intern), StackId{1040});
  const auto nowhere = record_at(0x9000, 64, {{kStackWord, kRowsCode + 40}});
  EXPECT_EQ(matcher.guess(nowhere, kBase, intern), std::nullopt) << "the loop is not that deep";
}

TEST_F(FaultMatcherTest, TheLoopOfACallerIsNotTheInnermostOne) {
  // At one depth the loop of the function 1, at another that of what it calls at 40.
  learn(record_at(0x5000, 512, {{kStackWord, kRowsCode + 22}}), stack_of(kRowsCode, 1, 20));
  RawStack deeper = stack_of(kBlobsCode, 2, 50);
  deeper.frames.back() = {{}, 1, 40};
  learn(record_at(0x6000, 1024, {{kStackWord, kBlobsCode + 52}}), deeper);
  const auto guess = [&](std::uint64_t instruction) {
    return matcher.guess(record_at(0x8000, 1600, {{kStackWord + 136, instruction}}, 256), kBase,
                         intern);
  };
  EXPECT_EQ(guess(kRowsCode + 82), StackId{1080});
  EXPECT_EQ(guess(kRowsCode + 42), std::nullopt) << "it has called a Python function there";
  EXPECT_EQ(guess(kRowsCode + 52), std::nullopt) << "a pointer that is further ahead";
}

// From 3.11 on one loop runs both: what the caller did before lies at a depth where other C
// functions have the instruction.
TEST_F(FaultMatcherTest, WhatACallerHasLeftIsNotTakenForTheFunctionItCalled) {
  for (int i = 0; i < 3; ++i)
    learn(record_at(0x5000, 512, {{kStackWord, kRowsCode + 22}}), stack_of(kRowsCode, 1, 20));
  RawStack called = stack_of(kBlobsCode, 2, 50);
  called.frames.back() = {{}, 1, 150, {kRowsCode}};
  learn(record_at(0x6000, 512, {{kStackWord + 2, kBlobsCode + 52}}), called);
  const auto record =
      record_at(0x8000, 512, {{kStackWord, kRowsCode + 62}, {kStackWord + 2, kBlobsCode + 62}});
  EXPECT_EQ(matcher.guess(record, kBase, intern), StackId{2060});
}

TEST_F(FaultMatcherTest, AFunctionThatNoStackHasShownIsIntroduced) {
  learn(record_at(0x5000, 512, {{kStackWord, kRowsCode + 20}}), stack_of(kRowsCode, 1, 20));
  const auto known = record_at(0x5000, 512, {{kStackWord, kRowsCode + 60}});
  const auto record = record_at(0x5000, 512, {{kStackWord, kBlobsCode + 52}});
  EXPECT_EQ(matcher.stranger(known, kBase), std::nullopt);
  ASSERT_EQ(matcher.stranger(record, kBase), (RemoteAddr{kBlobsCode + 52}));
  const auto elsewhere = record_at(0x9000, 512 + 8, {{kStackWord + 1, kBlobsCode + 52}});
  EXPECT_EQ(matcher.stranger(elsewhere, kBase), (RemoteAddr{kBlobsCode + 52})) << "by its depth";
  const std::uint64_t before = matcher.generation();
  RawStack function = stack_of(kBlobsCode, 2, 52);
  function.frames.resize(1);
  matcher.introduce(function);
  EXPECT_GT(matcher.generation(), before);
  EXPECT_EQ(match(record), StackId{2052});
  EXPECT_EQ(matcher.stranger(record, kBase), std::nullopt);
}

// numpy's loops are deeper than a record of the usual size.
TEST_F(FaultMatcherTest, AsksForRecordsThatReachTheInstruction) {
  const auto stop = record_at(0x5000, 9000, {{900, kRowsCode + 20}}, 1000);
  const auto record = record_at(0x5000, 9000, {}, 262);
  for (int i = 0; i < 100; ++i)
    learn(record_at(0x6000, 512, {{9, kBlobsCode + 52}}), stack_of(kBlobsCode, 2, 50));
  EXPECT_EQ(places.reach(), 10u);
  learn(stop, stack_of(kRowsCode, 1, 20));
  EXPECT_EQ(places.reach(), 901u);
  EXPECT_EQ(match(record), StackId{1020}) << "what was read there last";
}

TEST_F(FaultMatcherTest, AsksForMuchWhileLittleIsKnown) {
  learn(record_at(0x6000, 512, {{9, kBlobsCode + 52}}), stack_of(kBlobsCode, 2, 50));
  EXPECT_GT(places.reach(), 900u);
}

TEST_F(FaultMatcherTest, TheCallersAreThoseSeenLast) {
  FaultMatcher::Intern by_caller = [](const FaultRecord&, const RawStack& stack, bool) {
    return StackId{static_cast<std::uint32_t>(stack.frames.back().instruction)};
  };
  RawStack stack = stack_of(kRowsCode, 1, 20);
  const auto record = record_at(0x5000, 512, {{3, kRowsCode + 22}});
  matcher.learn(record, kBase, stack, StackId{40}, FaultEvidence::kStopped);
  EXPECT_EQ(matcher.match(record, kBase, by_caller), StackId{40});
  stack.frames.back().instruction = 60;
  matcher.learn(record, kBase, stack, StackId{60}, FaultEvidence::kStopped);
  EXPECT_EQ(matcher.match(record, kBase, by_caller), StackId{60});
}

// Of a function that no stack has shown, callers are known only as far as they are always the same.
TEST_F(FaultMatcherTest, AStrangersCallersAreThoseThatAllStacksShare) {
  std::optional<RawStack> last;
  bool known = true;
  const FaultMatcher::Intern keep = [&](const FaultRecord&, const RawStack& stack,
                                        bool callers_known) {
    last = stack;
    known = callers_known;
    return StackId{1};
  };
  for (const std::uint32_t handler : {7U, 8U}) {
    RawStack stack = stack_of(kRowsCode, 1, 20);
    stack.frames.insert(stack.frames.begin() + 1, {{}, handler, 5, {kMainCode + 4096}});
    learn(record_at(0x5000, 512, {{kStackWord, kRowsCode + 20}}), stack);
  }
  RawStack function = stack_of(kBlobsCode, 2, 52);
  function.frames.resize(1);
  matcher.introduce(function);
  const auto record = record_at(0x5000, 512, {{kStackWord, kBlobsCode + 52}});
  ASSERT_TRUE(matcher.match(record, kBase, keep).has_value());
  ASSERT_EQ(last->frames.size(), 2u) << "not the handler";
  EXPECT_EQ(last->frames.back().code, 99u);
  EXPECT_FALSE(known);
  RawStack whole = stack_of(kBlobsCode, 2, 52);
  whole.frames.insert(whole.frames.begin() + 1, {{}, 9, 5, {kMainCode + 4096}});
  learn(record, whole);
  ASSERT_TRUE(matcher.match(record, kBase, keep).has_value());
  EXPECT_EQ(last->frames.size(), 3u);
  EXPECT_TRUE(known);
}

// Where native frames are told, a line has as many stacks as places.
TEST_F(FaultMatcherTest, WhatIsOneStackIsAskedForOnce) {
  for (const auto distinct : {FaultMatcher::Distinct::kLines, FaultMatcher::Distinct::kPlaces}) {
    FaultPlaces known;
    FaultMatcher matches(known, distinct);
    std::vector<std::uint64_t> asked;
    const FaultMatcher::Intern note = [&](const FaultRecord& record, const RawStack&, bool) {
      asked.push_back(record.code);
      return StackId{static_cast<std::uint32_t>(asked.size())};
    };
    const RawStack stack = stack_of(kRowsCode, 1, 20);
    for (const std::uint64_t place : {0x5000U, 0x6000U})
      matches.learn(record_at(place, 512, {{3, kRowsCode + 22}}), kBase, stack, StackId{9},
                    FaultEvidence::kStopped);
    for (const std::uint64_t place : {0x5000U, 0x6000U, 0x5000U, 0x6000U})
      EXPECT_TRUE(matches.match(record_at(place, 512, {{3, kRowsCode + 22}}), kBase, note));
    EXPECT_EQ(asked.size(), distinct == FaultMatcher::Distinct::kLines ? 1U : 2U);
  }
}

// Until a stop has shown what stands around it.
TEST_F(FaultMatcherTest, AStackThatIsNotWholeIsAskedForAgain) {
  int asked = 0;
  const FaultMatcher::Intern later_whole = [&](const FaultRecord&, const RawStack&, bool) {
    ++asked;
    return InternedStack{StackId{static_cast<std::uint32_t>(asked)}, asked == 2};
  };
  const auto record = record_at(0x5000, 512, {{3, kRowsCode + 22}});
  learn(record, stack_of(kRowsCode, 1, 20));
  EXPECT_EQ(matcher.match(record, kBase, later_whole), StackId{1});
  EXPECT_EQ(matcher.match(record, kBase, later_whole), StackId{2});
  EXPECT_EQ(matcher.match(record, kBase, later_whole), StackId{2});
}

TEST_F(FaultMatcherTest, CallersOfAThreadThatBeganElsewhereAreNotTaken) {
  const auto record = record_at(0x5000, 512, {{3, kRowsCode + 22}});
  learn(record, stack_of(kRowsCode, 1, 20));
  FaultMatcher other(places);
  RawStack pool = stack_of(kBlobsCode, 2, 50);
  pool.frames.back() = {{}, 50, 12, {kMainCode + 8192}};
  other.learn(record_at(0x6000, 512, {{3, kBlobsCode + 52}}), kBase, pool, StackId{1},
              FaultEvidence::kStopped);
  bool known = true;
  const FaultMatcher::Intern keep = [&](const FaultRecord&, const RawStack& stack,
                                        bool callers_known) {
    known = callers_known;
    return StackId{stack.frames.back().code};
  };
  EXPECT_EQ(other.match(record, kBase, keep), StackId{50});
  EXPECT_FALSE(known);
}

TEST_F(FaultMatcherTest, CodeInMemoryThatIsUsedAgainReplacesWhatWasThere) {
  const auto place = [](std::uint64_t word) { return record_at(0x5000, 512, {{3, word}}); };
  learn(place(kRowsCode + 22), stack_of(kRowsCode, 1, 20));
  learn(place(kRowsCode - 100 + 22),
        stack_of(kRowsCode - 100, 3, 20));  // 200 bytes: reaches into the old one
  EXPECT_EQ(match(place(kRowsCode + 62)), StackId{3160});
  EXPECT_EQ(match(place(kRowsCode + 122)), std::nullopt);
}

TEST_F(FaultMatcherTest, StaysBounded) {
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    learn(record_at(0x5000 + i, 512, {{3, kRowsCode + i * 512 + 22}}),
          stack_of(kRowsCode + i * 512, 1, 20));
  }
  EXPECT_EQ(match(record_at(0x5000 + 19'999, 512, {{3, kRowsCode + 19'999 * 512 + 22}})),
            StackId{1020});
  EXPECT_EQ(match(record_at(0x5000, 512, {{3, kRowsCode + 22}})), std::nullopt);
}

}  // namespace
}  // namespace memspy::sampler

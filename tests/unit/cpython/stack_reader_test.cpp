#include "cpython/stack_reader.h"

#include "cpython/frame_walker.h"
#include "stack_image.h"
#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::CodeSpec;
using testing::FrameSpec;
using testing::HasErrc;
using ::testing::HasSubstr;
using testing::IsOk;

class StackReaderTest : public ::testing::TestWithParam<int> {
 protected:
  StackImage image_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(AllVersions, StackReaderTest, ::testing::Range(6, 16),
                         [](const auto& version) {
                           return "Python3_" + std::to_string(version.param);
                         });

// What only some versions have.
class HiddenFrames : public StackReaderTest {};
class IncompleteFrames : public StackReaderTest {};
class CollectorFlag : public StackReaderTest {};  // on 3.6 it is a static variable
INSTANTIATE_TEST_SUITE_P(Since3_12, HiddenFrames, ::testing::Range(12, 16));
INSTANTIATE_TEST_SUITE_P(Since3_11, IncompleteFrames, ::testing::Range(11, 16));
INSTANTIATE_TEST_SUITE_P(Since3_7, CollectorFlag, ::testing::Range(7, 16));

TEST_P(StackReaderTest, ReadsAStackInnermostFirst) {
  image_.push(image_.code("main"), 1);
  image_.push(image_.code("outer"), 2);
  image_.push(image_.code("inner"), 3);
  EXPECT_EQ(image_.stack(), "inner:13 outer:12 main:11");
  EXPECT_FALSE(image_.raw.truncated);
  EXPECT_FALSE(image_.raw.collecting);
  const Frame frame = image_.reader->resolve(image_.raw.frames.front());
  EXPECT_EQ(frame.file, "/srv/app.py");
  EXPECT_EQ(frame.kind, FrameKind::kPython);
}

TEST_P(StackReaderTest, AThreadWithoutFramesHasAnEmptyStack) {
  ASSERT_THAT(image_.capture(), IsOk());
  EXPECT_TRUE(image_.raw.frames.empty());
}

TEST_P(StackReaderTest, NamesAreQualifiedWhereTheInterpreterKnows) {
  CodeSpec spec;
  spec.name = "méthode";
  spec.qualname = "Класс.méthode";
  spec.file = "/srv/数据/😀.py";
  image_.push(image_.builder.add_code(spec));
  const bool qualified = image_.layout().has(Field::kCodeQualname);
  EXPECT_EQ(image_.stack(), qualified ? "Класс.méthode:14" : "méthode:14");
  EXPECT_EQ(image_.reader->resolve(image_.raw.frames[0]).file, "/srv/数据/😀.py");
}

// A pointer into bytecode is all that a fault record has of a function.
TEST_P(StackReaderTest, FindsTheFunctionAroundAnInstruction) {
  image_.push("main");
  ASSERT_EQ(image_.stack(), "main:14");
  CodeSpec spec;
  spec.name = "burst";
  spec.instructions = 3000;
  const RemoteAddr code = image_.builder.add_code(spec);
  RawStack found;
  if (!image_.layout().has(Field::kCodeAdaptive)) {
    EXPECT_FALSE(image_.reader->find_function(code + 64, found)) << "the bytecode lies elsewhere";
    return;
  }
  const RemoteAddr bytecode = code + image_.layout().offset(Field::kCodeAdaptive);
  ASSERT_TRUE(image_.reader->find_function(bytecode + 5000, found));
  ASSERT_EQ(found.frames.size(), 1u);
  EXPECT_EQ(found.frames[0].instruction, 5000);
  EXPECT_EQ(found.frames.front().bytecode, bytecode);
  EXPECT_EQ(image_.reader->resolve(found.frames[0]).function, "burst");
  EXPECT_FALSE(image_.reader->find_function(bytecode + 6000, found)) << "behind its end";
  EXPECT_FALSE(image_.reader->find_function({0x10}, found));
  for (const std::uint64_t freed : {0x7f1234567890ULL, 0ULL}) {
    image_.builder.memory().write(code + image_.layout().offset(Field::kObjectRefcount), freed);
    EXPECT_FALSE(image_.reader->find_function(bytecode + 5000, found)) << freed;
  }
  image_.builder.memory().write(code + image_.layout().offset(Field::kObjectRefcount),
                                std::uint64_t{0x4'0000'c000'0000});
  EXPECT_TRUE(image_.reader->find_function(bytecode + 5000, found)) << "pinned";
  image_.builder.put(code, Field::kCodeLineTable, image_.builder.add_str("no table").value);
  EXPECT_FALSE(image_.reader->find_function(bytecode + 5000, found))
      << "a dict with that type in it";
  EXPECT_FALSE(image_.reader->find_function({0xffffffffffffff00}, found));
}

TEST_P(StackReaderTest, LongNamesAndTablesAreReadInFull) {
  CodeSpec spec;
  spec.name = std::string(1000, 'n');
  spec.instructions = 3000;
  image_.push(image_.builder.add_code(spec), 2500);
  EXPECT_EQ(image_.stack(), spec.name + ":2510");
}

TEST_P(StackReaderTest, NamesWithoutEndAreCut) {
  CodeSpec spec;
  spec.name = std::string(5000, 'n');
  image_.push(image_.builder.add_code(spec));
  EXPECT_EQ(image_.stack(), std::string(4096, 'n') + "…:14");
}

TEST_P(StackReaderTest, AFrameThatHasNotStartedIsAtItsFirstLine) {
  FrameSpec spec;
  spec.code = image_.code("generator");
  spec.instruction = -1;
  spec.owner = StackImage::kGenerator;
  image_.builder.push_frame(image_.thread, spec);
  EXPECT_EQ(image_.stack(), "generator:10");
}

TEST_P(StackReaderTest, WhatIsNotReadInTimeIsGivenUpAndReadTheNextTime) {
  for (int i = 0; i < 30; ++i) image_.push("f" + std::to_string(i));
  const auto past = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_THAT(image_.reader->capture(image_.thread, image_.raw, past), HasErrc(Errc::kTimeout));
  EXPECT_TRUE(image_.raw.frames.empty());
  // Nor is a thread that was found before thought to have no state any more.
  const RemoteAddr found = image_.reader->find_thread_state(StackImage::kThreadId);
  ASSERT_EQ(found, image_.thread);
  EXPECT_THAT(image_.reader->capture(found, image_.raw, past), HasErrc(Errc::kTimeout));
  ASSERT_THAT(image_.capture(), IsOk());
  EXPECT_EQ(image_.raw.frames.size(), 30u);
}

TEST_P(StackReaderTest, AWarmDeepStackCostsOneBatch) {
  for (int i = 0; i < 30; ++i) image_.push("f" + std::to_string(i));
  ASSERT_THAT(image_.capture(), IsOk());
  ASSERT_EQ(image_.raw.frames.size(), 30u);
  EXPECT_EQ(image_.reads_of_capture(), 1u);
  EXPECT_EQ(image_.raw.frames.size(), 30u);
}

TEST_P(StackReaderTest, AChangedInnermostPartCostsFewBatches) {
  for (int i = 0; i < 30; ++i) image_.push("f" + std::to_string(i));
  ASSERT_THAT(image_.capture(), IsOk());
  for (int i = 0; i < 3; ++i) image_.builder.pop_frame(image_.thread);
  EXPECT_LE(image_.reads_of_capture(), 1u);
  ASSERT_EQ(image_.raw.frames.size(), 27u);
  image_.push("f27");
  EXPECT_LE(image_.reads_of_capture(), 5u);  // with a new code object to read
  EXPECT_EQ(image_.raw.frames.size(), 28u);
  image_.builder.pop_frame(image_.thread);
  image_.push("f28");
  image_.push("f29");
  image_.push("f30");
  EXPECT_EQ(image_.stack().substr(0, 14), "f30:14 f29:14 ");
}

TEST_P(StackReaderTest, ResolvingReadsNothing) {
  image_.push("f");
  ASSERT_THAT(image_.capture(), IsOk());
  const std::uint64_t reads = image_.reader->stats().reads;
  const std::size_t asked = image_.builder.memory().reads;
  EXPECT_EQ(image_.reader->resolve(image_.raw.frames[0]).line, 14);
  EXPECT_EQ(image_.reader->resolve(image_.raw.frames[0]).function, "f");
  EXPECT_EQ(image_.reader->stats().reads, reads);
  EXPECT_EQ(image_.builder.memory().reads, asked);
}

TEST_P(StackReaderTest, FramesOfGeneratorsLieElsewhere) {
  image_.push("main");
  FrameSpec spec;
  spec.code = image_.code("generator");
  spec.instruction = 1;
  spec.owner = StackImage::kGenerator;
  spec.on_heap = true;
  image_.builder.push_frame(image_.thread, spec);
  image_.push("callee");
  EXPECT_EQ(image_.stack(), "callee:14 generator:11 main:14");
}

TEST_P(HiddenFrames, OfTheInterpreterItselfAreNotShown) {
  image_.push("main");
  image_.push_hidden(image_.thread);
  image_.push("callback");
  EXPECT_EQ(image_.stack(), "callback:14 main:14");
}

TEST_P(HiddenFrames, AreAtTheEndOfAChainThatIsNotTorn) {
  const RemoteAddr frame = image_.push("generator");
  image_.builder.put(frame, Field::kFramePrevious, 0);
  EXPECT_THAT(image_.capture(), HasErrc(Errc::kCorrupt));
}

TEST_P(IncompleteFrames, AreNotShown) {
  CodeSpec spec;
  spec.name = "setting_up";
  spec.first_traceable = 3;
  image_.push("main");
  const RemoteAddr frame = image_.push(image_.builder.add_code(spec), 2);
  EXPECT_EQ(image_.stack(), "main:14");
  image_.builder.set_instruction(frame, 3);
  EXPECT_EQ(image_.stack(), "setting_up:13 main:14");
}

TEST_P(CollectorFlag, ComesWithTheStack) {
  image_.push("f");
  image_.builder.set_collecting(image_.interpreter, true);
  ASSERT_THAT(image_.capture(), IsOk());
  EXPECT_TRUE(image_.raw.collecting);
  image_.builder.set_collecting(image_.interpreter, false);
  ASSERT_THAT(image_.capture(), IsOk());
  EXPECT_FALSE(image_.raw.collecting);
}

TEST_P(StackReaderTest, VeryDeepStacksAreCut) {
  const RemoteAddr code = image_.code("f");
  for (std::size_t i = 0; i < kMaxFrameDepth + 10; ++i) image_.push(code);
  ASSERT_THAT(image_.capture(), IsOk());
  EXPECT_TRUE(image_.raw.truncated);
  EXPECT_GE(image_.raw.frames.size(), kMaxFrameDepth - 1);
  EXPECT_LE(image_.reads_of_capture(), 1u);
}

// What a torn or hostile target may show.

TEST_P(StackReaderTest, ACycleIsCorrupt) {
  const RemoteAddr first = image_.push("a");
  image_.push("b");
  const RemoteAddr last = image_.push("c");
  image_.builder.put(first, Field::kFramePrevious, last.value);
  EXPECT_THAT(image_.capture(), HasErrc(Errc::kCorrupt));
  EXPECT_TRUE(image_.raw.frames.empty());
  EXPECT_EQ(image_.reader->stats().rejected, 1u);
}

TEST_P(StackReaderTest, AFrameThatIsNotThereIsUnreadable) {
  image_.builder.put(image_.push("a"), Field::kFramePrevious, 0x123456780);
  EXPECT_THAT(image_.capture(), HasErrc(Errc::kUnreadable));
  image_.builder.put(image_.push("b"), Field::kFramePrevious, 0x3);
  EXPECT_THAT(image_.capture(), HasErrc(Errc::kCorrupt));
}

TEST_P(StackReaderTest, OnlyCodeObjectsRun) {
  image_.push("main");
  const RemoteAddr frame = image_.push("f");
  ASSERT_THAT(image_.capture(), IsOk());
  image_.builder.put(frame, Field::kFrameCode, image_.builder.add_str("f").value);
  EXPECT_THAT(image_.capture(), HasErrc(Errc::kCorrupt));
  image_.builder.put(frame, Field::kFrameCode, 0);
  EXPECT_THAT(image_.capture(), HasErrc(Errc::kCorrupt));
}

TEST_P(StackReaderTest, TheInstructionLiesInTheCode) {
  const RemoteAddr frame = image_.push("f");
  image_.builder.set_instruction(frame, 20);
  EXPECT_THAT(image_.capture(), HasErrc(Errc::kCorrupt));
  image_.builder.set_instruction(frame, 19);
  EXPECT_EQ(image_.stack(), "f:29");
}

TEST_P(StackReaderTest, NamesThatAreNoTextAreCorrupt) {
  const RemoteAddr code = image_.code("f");
  image_.push(code);
  const Field name =
      image_.layout().has(Field::kCodeQualname) ? Field::kCodeQualname : Field::kCodeName;
  for (const Field field : {name, Field::kCodeFilename}) {
    const std::uint64_t good = image_.builder.get(code, field);
    image_.builder.put(code, field, image_.builder.add_str(std::u32string_view(U"a\0b", 3)).value);
    EXPECT_THAT(image_.capture(), HasErrc(Errc::kCorrupt));
    image_.builder.put(code, field, image_.builder.add_str(U"a\x110000").value);
    EXPECT_THAT(image_.capture(), HasErrc(Errc::kCorrupt));
    const RemoteAddr endless = image_.builder.add_str("endless");
    image_.builder.put(endless, Field::kUnicodeLength, std::uint64_t{1} << 60);
    image_.builder.put(code, field, endless.value);
    EXPECT_THAT(image_.capture(), HasErrc(Errc::kCorrupt));
    image_.builder.put(code, field, good);
    EXPECT_EQ(image_.stack(), "f:14");
  }
}

TEST_P(StackReaderTest, UndecodableBytesOfAFileNameAreReplaced) {
  const RemoteAddr code = image_.code("f");
  image_.builder.put(code, Field::kCodeFilename, image_.builder.add_str(U"/srv/\xdcff.py").value);
  image_.push(code);
  ASSERT_THAT(image_.capture(), IsOk());
  EXPECT_EQ(image_.reader->resolve(image_.raw.frames[0]).file, "/srv/\xef\xbf\xbd.py");
}

// Code objects whose memory is used again.

TEST_P(StackReaderTest, ReusedCodeAddressesDoNotGiveOldNames) {
  const RemoteAddr code = image_.code("old");
  image_.push(code);
  ASSERT_EQ(image_.stack(), "old:14");
  const RawFrame before = image_.raw.frames[0];
  CodeSpec spec;
  spec.name = "new";
  spec.first_line = 50;
  image_.builder.replace_code(code, spec);
  EXPECT_EQ(image_.stack(), "new:54");
  EXPECT_EQ(image_.reader->resolve(before).function, "old");  // what was captured keeps its meaning
}

TEST_P(StackReaderTest, ReuseIsSeenAtTheLatestWhenItsTurnToBeCheckedComes) {
  std::vector<RemoteAddr> codes;
  for (int i = 0; i < 30; ++i) codes.push_back(image_.code("f" + std::to_string(i)));
  for (const RemoteAddr code : codes) image_.push(code);
  ASSERT_THAT(image_.capture(), IsOk());
  CodeSpec spec;
  spec.name = "new";
  image_.builder.replace_code(codes[0], spec);
  for (int i = 0; i < 10; ++i) ASSERT_THAT(image_.capture(), IsOk());
  EXPECT_THAT(image_.stack(), HasSubstr(" new:14"));
  // From then on all are checked.
  image_.builder.replace_code(codes[1], spec);
  image_.builder.replace_code(codes[20], spec);
  EXPECT_THAT(image_.stack(), HasSubstr("f21:14 new:14 f19:14"));
  EXPECT_THAT(image_.stack(), HasSubstr("f2:14 new:14 new:14"));
}

TEST_P(StackReaderTest, EqualCodeHasOneIndex) {
  for (int i = 0; i < 5; ++i) image_.push("same");
  ASSERT_THAT(image_.capture(), IsOk());
  for (const RawFrame& frame : image_.raw.frames) EXPECT_EQ(frame.code, image_.raw.frames[0].code);
  EXPECT_EQ(image_.reader->stats().codes, 1u);
}

}  // namespace
}  // namespace memspy::cpython

#include "cpython/recorded_stack.h"

#include <gmock/gmock.h>

#include <deque>

#include "attach/bpf/kernel_record.h"
#include "cpython/frame_walker.h"
#include "memspy/memory_reader.h"
#include "stack_image.h"
#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::HasErrc;
using testing::IsOk;

// What the program in the kernel does, here: it has the plan, and reads of memory.
class Copier {
 public:
  Copier(const WalkPlan& plan, const MemoryReader& memory) : plan_(plan), memory_(memory) {}

  RecordedStack copy(std::uint64_t thread_id, std::size_t most_frames) {
    RecordedStack stack;
    stack.state = find_state(thread_id);
    if (!stack.state) return stack;
    RemoteAddr frame = word(stack.state + plan_.thread_anchor);
    if (plan_.through_cframe && frame) frame = word(frame + plan_.cframe_current);
    while (frame && frames_.size() < most_frames) {
      auto& bytes = bytes_.emplace_back(plan_.frame_bytes);
      if (memory_.read_some(frame, bytes) != bytes.size()) break;
      frames_.push_back({frame, bytes});
      frame = word(frame + plan_.frame_previous);
    }
    stack.frames = frames_;
    stack.truncated = frame.value != 0;
    const RemoteAddr flag = plan_.collecting_flag ? plan_.collecting_flag
                                                  : word(stack.state + plan_.thread_interpreter) +
                                                        plan_.interpreter_collecting;
    stack.collecting = read<std::int32_t>(memory_, flag).value_or(0) != 0;
    return stack;
  }
  std::deque<std::vector<std::byte>> bytes_;  // its elements stay where they are
  std::vector<RecordedFrame> frames_;

 private:
  RemoteAddr word(RemoteAddr at) const {
    return RemoteAddr{read<std::uint64_t>(memory_, at).value_or(0)};
  }
  RemoteAddr find_state(std::uint64_t thread_id) const {
    for (RemoteAddr interpreter = word(plan_.interpreters_head); interpreter;
         interpreter = word(interpreter + plan_.interpreter_next)) {
      for (RemoteAddr state = word(interpreter + plan_.interpreter_threads); state;
           state = word(state + plan_.thread_next)) {
        if (word(state + plan_.thread_id).value == thread_id) return state;
      }
    }
    return {};
  }
  const WalkPlan& plan_;
  const MemoryReader& memory_;
};

class RecordedStackTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const auto plan = plan_walk(image_.layout(), image_.python->anchors());
    ASSERT_TRUE(plan.has_value());
    plan_ = *plan;
  }
  RecordedStack record(std::size_t most_frames = 100) {
    copier_.emplace(plan_, image_.builder.memory());
    return copier_->copy(StackImage::kThreadId, most_frames);
  }
  std::string text() const {
    std::string found;
    for (const RawFrame& frame : image_.raw.frames)
      found += image_.reader->resolve(frame).function + " ";
    return found;
  }
  StackImage image_{GetParam()};
  WalkPlan plan_;
  std::optional<Copier> copier_;
};
INSTANTIATE_TEST_SUITE_P(AllVersions, RecordedStackTest, ::testing::Range(6, 16),
                         [](const auto& version) {
                           return "Python3_" + std::to_string(version.param);
                         });

TEST_P(RecordedStackTest, IsTheStackOfThatMoment) {
  image_.push("main");
  image_.push("outer");
  image_.push("inner");
  const RecordedStack then = record();
  ASSERT_EQ(then.state, image_.thread);
  EXPECT_FALSE(then.truncated);
  EXPECT_FALSE(then.collecting);
  image_.push("later");
  ASSERT_THAT(image_.reader->decode(then, image_.raw), IsOk());
  EXPECT_EQ(text(), "inner outer main ");
  ASSERT_THAT(image_.capture(), IsOk());
  EXPECT_EQ(text(), "later inner outer main ");
  ASSERT_THAT(image_.reader->decode(then, image_.raw), IsOk()) << "in any order";
  EXPECT_EQ(text(), "inner outer main ");
}

TEST_P(RecordedStackTest, OuterFramesMayBeLeftOut) {
  for (const char* name : {"main", "outer", "inner"}) image_.push(name);
  RecordedStack cut = record(2);
  ASSERT_TRUE(cut.truncated);
  ASSERT_THAT(image_.reader->decode(cut, image_.raw), IsOk());
  EXPECT_EQ(text(), "inner outer ");
  EXPECT_TRUE(image_.raw.truncated);
}

// A frame that is missing, in another place or too short is no stack.
TEST_P(RecordedStackTest, BrokenChainsAreRefused) {
  for (const char* name : {"main", "outer", "inner"}) image_.push(name);
  record();
  std::vector<RecordedFrame> frames = copier_->frames_;
  RecordedStack stack;
  stack.state = image_.thread;
  frames.erase(frames.begin() + 1);
  stack.frames = frames;
  EXPECT_THAT(image_.reader->decode(stack, image_.raw), HasErrc(Errc::kUnreadable));
  EXPECT_TRUE(image_.raw.frames.empty());
  frames = copier_->frames_;
  frames[1].bytes = frames[1].bytes.first(plan_.frame_bytes / 2);
  stack.frames = frames;
  EXPECT_THAT(image_.reader->decode(stack, image_.raw), HasErrc(Errc::kUnreadable));
}

TEST_P(RecordedStackTest, AThreadOutsideOfPythonHasNoFrames) {
  RecordedStack none;
  none.state = image_.thread;
  ASSERT_THAT(image_.reader->decode(none, image_.raw), IsOk());
  EXPECT_TRUE(image_.raw.frames.empty());
}

TEST_P(RecordedStackTest, TheKernelsProgramHasRoomForAFrameAndAState) {
  EXPECT_LE(plan_.frame_bytes, MEMSPY_BPF_FRAME_BYTES);
  EXPECT_TRUE(!plan_.frames_in_chunks || plan_.frame_bytes <= MEMSPY_BPF_CHUNK_FRAME_BYTES);
  EXPECT_LE(plan_.thread_bytes, MEMSPY_BPF_STATE_BYTES);
  EXPECT_GT(plan_.thread_bytes, plan_.thread_id);
  EXPECT_LE(plan_.frame_previous + sizeof(std::uint64_t), plan_.frame_bytes);
}

}  // namespace
}  // namespace memspy::cpython

#include "cpython/thread_index.h"

#include "stack_image.h"
#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::HasErrc;
using testing::IsOk;

constexpr std::uint64_t kOther = 0x7f5500002000;

class ThreadIndexTest : public ::testing::TestWithParam<int> {
 protected:
  std::uint64_t reads_of_find(std::uint64_t thread_id) {
    const std::uint64_t before = image_.reader->stats().reads;
    (void)image_.reader->find_thread_state(thread_id);
    return image_.reader->stats().reads - before;
  }
  StackImage image_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(AllVersions, ThreadIndexTest, ::testing::Range(6, 16),
                         [](const auto& version) {
                           return "Python3_" + std::to_string(version.param);
                         });

TEST_P(ThreadIndexTest, FindsTheStateOfAThread) {
  const RemoteAddr other = image_.add_thread(image_.interpreter, kOther);
  EXPECT_EQ(image_.reader->find_thread_state(StackImage::kThreadId), image_.thread);
  EXPECT_EQ(image_.reader->find_thread_state(kOther), other);
  EXPECT_EQ(reads_of_find(kOther), 0u);
}

// Looked for at the first, second and third time (and the fifth, the ninth…), not in between.
TEST_P(ThreadIndexTest, NativeThreadsHaveNoneAndSoonCostOneRead) {
  for (int time = 1; time <= 3; ++time) EXPECT_FALSE(image_.reader->find_thread_state(kOther));
  EXPECT_LE(reads_of_find(kOther), 1u);
}

TEST_P(ThreadIndexTest, ANativeThreadMayEnterPythonLater) {
  EXPECT_FALSE(image_.reader->find_thread_state(kOther));
  const RemoteAddr other = image_.add_thread(image_.interpreter, kOther);
  EXPECT_EQ(image_.reader->find_thread_state(kOther), other);
}

// A new thread often gets the pthread_self() of one that ended, while its state lies elsewhere and
// the old one's bytes are still there.
TEST_P(ThreadIndexTest, AStateThatEndedIsReplacedByTheNewOneOfItsThread) {
  const RemoteAddr old = image_.add_thread(image_.interpreter, kOther);
  EXPECT_EQ(image_.reader->find_thread_state(kOther), old);
  image_.builder.remove_thread(old);
  image_.thread = image_.add_thread(image_.interpreter, kOther);
  image_.push("f");
  const RemoteAddr found = image_.reader->find_thread_state(kOther);
  EXPECT_EQ(found, old);  // not looked at yet
  ASSERT_THAT(image_.reader->capture(found, image_.raw), IsOk());
  EXPECT_EQ(image_.raw.frames.size(), 1u);
  EXPECT_EQ(image_.reader->find_thread_state(kOther), image_.thread);
}

TEST_P(ThreadIndexTest, AThreadThatLeftPythonHasAnEmptyStack) {
  const RemoteAddr old = image_.add_thread(image_.interpreter, kOther);
  ASSERT_EQ(image_.reader->find_thread_state(kOther), old);
  ASSERT_THAT(image_.reader->capture(old, image_.raw), IsOk());
  image_.builder.remove_thread(old);
  ASSERT_THAT(image_.reader->capture(old, image_.raw), IsOk());
  EXPECT_TRUE(image_.raw.frames.empty());
  EXPECT_FALSE(image_.reader->find_thread_state(kOther));
}

TEST_P(ThreadIndexTest, WhatWasNeverListedIsNoThreadState) {
  EXPECT_THAT(image_.reader->capture(RemoteAddr{0x1000}, image_.raw), HasErrc(Errc::kCorrupt));
  const RemoteAddr zeros = image_.builder.allocate(image_.layout().size(Struct::kThread));
  EXPECT_THAT(image_.reader->capture(zeros, image_.raw), HasErrc(Errc::kCorrupt));
}

TEST_P(ThreadIndexTest, OfSeveralInterpretersTheOneThatRunsCounts) {
  image_.push("main");
  EXPECT_EQ(image_.reader->find_thread_state(StackImage::kThreadId), image_.thread);
  const RemoteAddr second = image_.builder.add_interpreter(1);
  const RemoteAddr inner = image_.builder.add_thread(second, StackImage::kThreadId);
  // Idle in the second interpreter: main's frames are what runs.
  (void)image_.reader->find_thread_state(kOther);  // unknown: the lists are walked
  EXPECT_EQ(image_.reader->find_thread_state(StackImage::kThreadId), image_.thread);
  if (image_.hides_frames()) image_.push_hidden(inner);
  image_.thread = inner;
  image_.push("inside");
  EXPECT_EQ(image_.reader->find_thread_state(StackImage::kThreadId), image_.thread);
  EXPECT_EQ(image_.stack(), "inside:14");
}

}  // namespace
}  // namespace memspy::cpython

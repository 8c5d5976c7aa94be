// On this very thread. No signal: that a thread stops at a write is test_live's business.
#include "attach/perf_watch.h"

#include <unistd.h>

#include "support/result_matchers.h"

namespace memspy::attach {
namespace {

using testing::IsOk;

class Watched : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = PerfWatch::open(Tid{::gettid()}, std::nullopt);
    ASSERT_THAT(opened, IsOk());
    watch_.emplace(std::move(opened).value());
  }
  void reopen() {
    watch_->close();
    auto opened = PerfWatch::open(Tid{::gettid()}, std::nullopt);
    ASSERT_THAT(opened, IsOk());
    *watch_ = std::move(opened).value();
  }
  RemoteAddr place(std::size_t i) const { return {reinterpret_cast<std::uint64_t>(&words_[i])}; }
  void write(std::size_t i, int times) {
    for (int n = 0; n < times; ++n) words_[i] = static_cast<std::uint64_t>(n);
  }

  volatile std::uint64_t words_[4] = {};
  std::optional<PerfWatch> watch_;
};

TEST_F(Watched, CountsWritesToItsAddressWhileItIsArmed) {
  write(0, 3);
  ASSERT_TRUE(watch_->arm(place(0)));
  write(0, 5);
  write(1, 7);
  EXPECT_EQ(watch_->take_count(), 5U);
  ASSERT_TRUE(watch_->arm(place(1)));
  write(0, 1);
  write(1, 2);
  EXPECT_EQ(watch_->take_count(), 2U);
  watch_->disarm();
  write(1, 2);
  EXPECT_EQ(watch_->take_count(), 0U);
}

TEST_F(Watched, WhatIsToldIsNotCountedAgain) {
  ASSERT_TRUE(watch_->arm_for(place(0), 100));
  write(0, 3);
  watch_->note_told();
  watch_->note_told();
  EXPECT_EQ(watch_->take_count(), 1U);
  // Told after it was counted: the next count is right again.
  watch_->note_told();
  EXPECT_EQ(watch_->take_count(), 0U);
  write(0, 2);
  EXPECT_EQ(watch_->take_count(), 2U);
}

// A block that is taken and given back all the time would slow its thread without an end.
TEST_F(Watched, DisarmsItselfAfterSoManyWrites) {
  ASSERT_TRUE(watch_->arm_for(place(0), 8));
  write(0, 5);
  EXPECT_FALSE(watch_->spent());
  EXPECT_EQ(watch_->take_count(), 5U);
  // What is left of before is no more than what is asked for now.
  ASSERT_TRUE(watch_->arm_for(place(1), 8));
  write(1, 1000);
  EXPECT_EQ(watch_->take_count(), 8U);
  EXPECT_TRUE(watch_->spent());
}

TEST_F(Watched, GoesOnAfterItWasOpenedAnew) {
  for (int round = 0; round < 50; ++round) {
    const int writes = round % 3 == 0 ? 1 : round % 3 == 1 ? 5 : 60;
    if (watch_->spent()) reopen();
    ASSERT_TRUE(watch_->arm_for(place(0), 8));
    write(0, writes);
    EXPECT_EQ(watch_->take_count(), static_cast<std::uint64_t>(std::min(writes, 8))) << round;
    watch_->disarm();
  }
}

TEST_F(Watched, OfOneThatIsClosedNothingIsSeen) {
  watch_->close();
  EXPECT_FALSE(watch_->arm(place(0)));
  EXPECT_FALSE(watch_->arm_for(place(0), 8));
  EXPECT_FALSE(watch_->spent());
  EXPECT_EQ(watch_->take_count(), 0U);
}

}  // namespace
}  // namespace memspy::attach

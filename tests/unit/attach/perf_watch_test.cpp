// On this very thread. No signal: that a thread stops at a write is test_live's business.
#include "attach/perf_watch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

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

// Its heirs are watched from their first instruction on, moved with it, and counted with it.
TEST_F(Watched, WhatAThreadStartsInherits) {
  auto opened = PerfWatch::open_for_heirs(Tid{::gettid()});
  ASSERT_THAT(opened, IsOk());
  ASSERT_TRUE(opened->arm(place(0)));
  std::thread([&] { write(0, 3); }).join();
  EXPECT_EQ(opened->take_count(), 3U);
  std::atomic<int> step{0};
  std::thread heir([&] {
    while (step != 1) std::this_thread::yield();
    write(0, 4);
    write(1, 5);
    step = 2;
    while (step != 3) std::this_thread::yield();
    write(1, 6);
  });
  ASSERT_TRUE(opened->arm(place(1)));
  step = 1;
  while (step != 2) std::this_thread::yield();
  EXPECT_EQ(opened->take_count(), 5U);
  opened->disarm();
  step = 3;
  heir.join();
  EXPECT_EQ(opened->take_count(), 0U);
}

TEST_F(Watched, AChildProcessInheritsNothing) {
  auto opened = PerfWatch::open_for_heirs(Tid{::gettid()});
  ASSERT_THAT(opened, IsOk());
  ASSERT_TRUE(opened->arm(place(0)));
  const pid_t child = ::fork();
  if (child == 0) {
    write(0, 9);
    ::_exit(0);
  }
  ASSERT_GT(child, 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(opened->take_count(), 0U);
}

}  // namespace
}  // namespace memspy::attach

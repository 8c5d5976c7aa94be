// Who takes images is killed at random moments: the target goes on as if nothing had been.
//
// MEMSPY_KILLS  how many kills (120)
// MEMSPY_SEED   of the random moments; printed, so that a failure can be had again
#include <cstdlib>
#include <iostream>
#include <random>

#include "attach/process_image.h"
#include "support/result_matchers.h"
#include "unit/attach/blocked_threads.h"

namespace memspy::attach {
namespace {

constexpr std::size_t kTargetBytes = 16U << 20;
constexpr int kSpinners = 2;
// µs: of its work, from its start on (an image takes about 30 ms), and of the stop.
constexpr std::int64_t kLatestMoment = 60'000;
constexpr std::int64_t kLatestInStop = 3'000;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

class ImageKillTest : public ::testing::Test {
 protected:
  // Waits for what must come about; false after a deadline.
  static bool eventually(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      ::usleep(200);
    }
    return true;
  }
  bool untouched(Pid pid) const {
    for (const Tid tid : proc_.threads(pid).value_or({})) {
      const auto status = proc_.status(pid, tid);
      if (!status.has_value() || status->tracer.value != 0) return false;
      if (status->state == 't' || status->state == 'T') return false;
    }
    return true;
  }
  // Its main thread waits in a call that restarts.
  bool held(Pid pid) const {
    const auto stat = proc_.stat(pid);
    return stat.has_value() && stat->state == 't';
  }
  procfs::ProcDir proc_;
};

TEST_F(ImageKillTest, TheTargetGoesOn) {
#ifdef __SANITIZE_ADDRESS__
  constexpr std::uint64_t kKills = 24;  // each starts a sanitizer anew; `harmless` kills hundreds
#else
  constexpr std::uint64_t kKills = 120;
#endif
  const std::uint64_t kills = setting("MEMSPY_KILLS", kKills);
  const std::uint64_t seed = setting("MEMSPY_SEED", std::random_device{}());
  std::mt19937_64 random(seed);
  RecordProperty("MEMSPY_SEED", std::to_string(seed));
  SCOPED_TRACE("MEMSPY_SEED=" + std::to_string(seed));

  CountingChild target([](CountingChild& self) {
    auto* memory = static_cast<std::byte*>(
        ::mmap(nullptr, kTargetBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (std::size_t i = 0; i < kTargetBytes; i += 4096) memory[i] = std::byte{1};
    start_blocked_threads(self, kSpinners);
    for (;;) ::pause();
  });
  ASSERT_TRUE(await_blocked_threads(target.pid()));

  std::uint64_t while_held = 0;
  for (std::uint64_t kill = 0; kill < kills; ++kill) {
    {
      // Its destructor is the kill.
      CountingChild memspy([&](CountingChild& self) {
        const procfs::ProcDir proc;
        self.ready();
        for (;;) static_cast<void>(take_image(proc, target.pid(), {}));
      });
      // Every other one while the target is held.
      const bool in_stop = kill % 2 == 0;
      if (in_stop) {
        ASSERT_TRUE(eventually([&] { return held(target.pid()); })) << kill;
      }
      ::usleep(static_cast<useconds_t>(std::uniform_int_distribution<std::int64_t>(
          0, in_stop ? kLatestInStop : kLatestMoment)(random)));
      ASSERT_TRUE(memspy.alive()) << kill;
      while_held += held(target.pid()) ? 1 : 0;
    }
    ASSERT_TRUE(eventually([&] { return untouched(target.pid()); })) << kill;
    for (std::size_t i = 0; i < kSpinners; ++i) {
      const std::uint64_t before = target.counters().at[i];
      ASSERT_TRUE(eventually([&] { return target.counters().at[i] > before; })) << kill;
    }
    ASSERT_EQ(target.counters().cut, 0u) << kill;
  }
  ASSERT_TRUE(target.alive());
  std::cout << while_held << " of " << kills << " kills while the target was held\n";
  EXPECT_GE(while_held, kills / 8) << "hardly any of the kills hit";
}

}  // namespace
}  // namespace memspy::attach

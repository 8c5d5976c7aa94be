#include "daemon/state_lock.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "support/result_matchers.h"
#include "support/temp_dir.h"

namespace memspy::daemon {
namespace {

using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::HasSubstr;

TEST(StateLock, one_daemon_at_a_time_has_a_folder) {
  const memspy::testing::TempDir folder;
  auto first = lock_state(folder.path());
  ASSERT_THAT(first, IsOk());
  const auto second = lock_state(folder.path());
  ASSERT_THAT(second, HasErrc(Errc::kUsage));
  EXPECT_THAT(second.error().message, HasSubstr("PID " + std::to_string(::getpid()) + ","));
  first->reset();
  EXPECT_THAT(lock_state(folder.path()), IsOk());
}

TEST(StateLock, needs_a_folder_that_can_be_written_to) {
  EXPECT_THAT(lock_state("/nowhere/at/all"), HasErrc(Errc::kOutput));
}

}  // namespace
}  // namespace memspy::daemon

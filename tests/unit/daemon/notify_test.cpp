#include "daemon/notify_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/unique_fd.h"
#include "support/temp_dir.h"

namespace memspy::daemon {
namespace {

TEST(NotifyManager, tells_the_socket_that_it_was_given) {
  const memspy::testing::TempDir folder;
  const std::string path = folder.file("notify");
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  NotifyManager(path.c_str(), nullptr, nullptr).tell("READY=1");
  std::array<char, 64> buffer{};
  ASSERT_EQ(::recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT), 7);
  EXPECT_STREQ(buffer.data(), "READY=1");
}

TEST(NotifyManager, without_a_manager_it_is_silent) {
  NotifyManager(nullptr, nullptr, nullptr).tell("READY=1");
  NotifyManager("/nonexistent/socket", nullptr, nullptr).tell("READY=1");
  NotifyManager(std::string(500, 'x').c_str(), nullptr, nullptr).tell("READY=1");
}

TEST(NotifyManager, the_watchdog_is_fed_twice_as_often_as_it_is_patient) {
  const std::string own = std::to_string(::getpid());
  EXPECT_EQ(NotifyManager("x", "30000000", own.c_str()).watchdog(), std::chrono::seconds(15));
  EXPECT_EQ(NotifyManager("x", "30000000", nullptr).watchdog(), std::chrono::seconds(15));
  EXPECT_EQ(NotifyManager("x", "30000000", "1").watchdog(), std::nullopt);
  EXPECT_EQ(NotifyManager("x", "soon", own.c_str()).watchdog(), std::nullopt);
}

}  // namespace
}  // namespace memspy::daemon

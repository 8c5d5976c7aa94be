#include "daemon/control_socket.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "daemon/asked_targets.h"
#include "daemon/mailbox.h"
#include "support/result_matchers.h"
#include "support/temp_dir.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::HasSubstr;

class Control : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = ControlServer::start(path_, [](const Json& request) -> Json {
      if (member<std::string>(request, "command") == "fail")
        return control_error(make_error(Errc::kUsage, "no such thing"));
      if (member<std::string>(request, "command") == "miss")
        return control_error(make_error(Errc::kNoSuchProcess, "no such process"));
      return {{"schema", "x"}, {"asked", request}};
    });
    ASSERT_THAT(server, IsOk());
    server_ = std::move(*server);
  }
  UniqueFd raw() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }
  memspy::testing::TempDir folder_;
  std::string path_ = folder_.file("s");
  std::unique_ptr<ControlServer> server_;
};

TEST_F(Control, a_question_is_answered) {
  const auto answer = ask_daemon(path_, {{"command", "status"}});
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ((*answer)["asked"]["command"], "status");
}

TEST_F(Control, a_refusal_is_an_error_with_its_words) {
  const auto answer = ask_daemon(path_, {{"command", "fail"}});
  ASSERT_THAT(answer, HasErrc(Errc::kUsage));
  EXPECT_THAT(answer.error().message, HasSubstr("no such thing"));
  EXPECT_THAT(ask_daemon(path_, {{"command", "miss"}}), HasErrc(Errc::kNoSuchProcess));
}

TEST_F(Control, the_socket_is_for_its_owner_only) {
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(Control, what_is_no_question_harms_nobody) {
  const std::string deep(60000, '[');
  for (const std::string& text : {std::string("\n"), std::string("[]\n"), std::string("{\n"),
                                  deep + "\n", std::string("\xff\xfe\n")}) {
    const UniqueFd fd = raw();
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    char byte = 0;
    EXPECT_EQ(::recv(fd.get(), &byte, 1, 0), 1) << text.substr(0, 9);
    EXPECT_EQ(byte, '{');
  }
  { const UniqueFd fd = raw(); }  // says nothing, and goes
  EXPECT_THAT(ask_daemon(path_, {{"command", "status"}}), IsOk());
}

TEST_F(Control, a_second_daemon_is_refused_and_a_socket_left_over_is_replaced) {
  const auto second = ControlServer::start(path_, [](const Json&) { return Json(); });
  ASSERT_THAT(second, HasErrc(Errc::kUsage));
  server_.reset();
  EXPECT_THAT(ask_daemon(path_, {{"command", "status"}}), HasErrc(Errc::kNoSuchProcess));
  // As a daemon leaves it that was killed.
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_THAT(ControlServer::start(path_, [](const Json&) { return Json(); }), IsOk());
}

TEST(Mailbox, a_question_is_answered_by_the_loop_s_thread) {
  Mailbox mailbox;
  std::thread asker([&] {
    const auto answer = mailbox.ask<int>([] { return 42; }, 10s);
    EXPECT_EQ(answer, 42);
  });
  pollfd ready{mailbox.fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, 10000), 1);
  mailbox.answer_all();
  asker.join();
}

TEST(Mailbox, nobody_waits_for_ever) {
  Mailbox mailbox;
  EXPECT_EQ(mailbox.ask<int>([] { return 1; }, 1ms), std::nullopt);
}

TEST(AskedTargets, are_there_after_a_restart_until_they_expire) {
  const memspy::testing::TempDir folder;
  const ProcessIdentity one{Pid{7}, 70};
  const ProcessIdentity other{Pid{8}, 80};
  {
    AskedTargets asked(folder.file("asked.json"));
    ASSERT_THAT(asked.add(one, 1000s), IsOk());
    ASSERT_THAT(asked.add(other, 2000s), IsOk());
  }
  AskedTargets asked(folder.file("asked.json"));
  EXPECT_EQ(asked.all().size(), 2U);
  asked.forget_expired(1500s);
  EXPECT_EQ(asked.all().size(), 1U);
  EXPECT_EQ(asked.all().at(other), 2000s);
  asked.forget(other);
  EXPECT_TRUE(AskedTargets(folder.file("asked.json")).all().empty());
}

}  // namespace
}  // namespace memspy::daemon

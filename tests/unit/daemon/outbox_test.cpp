#include "daemon/outbox.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>

#include "base/file.h"
#include "base/unique_fd.h"
#include "daemon/http_post.h"
#include "daemon/run_child.h"
#include "support/result_matchers.h"
#include "support/temp_dir.h"
#include "unit/daemon/common.h"

namespace memspy::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::atomic<bool> kNotEnding{false};

// Takes what the outbox delivers, and answers as it was told.
class Receiver {
 public:
  Outbox::Deliver port() {
    return [this](const Delivery& delivery, const std::atomic<bool>&) {
      const std::lock_guard lock(mutex_);
      bodies_.push_back(delivery.body);
      news_.notify_all();
      if (answers_.empty()) return Delivered::kDone;
      const Delivered answer = answers_.front();
      answers_.erase(answers_.begin());
      return answer;
    };
  }
  void will_answer(std::vector<Delivered> answers) { answers_ = std::move(answers); }
  std::vector<std::string> bodies(std::size_t count) {
    std::unique_lock lock(mutex_);
    news_.wait_for(lock, 20s, [&] { return bodies_.size() >= count; });
    return bodies_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable news_;
  std::vector<std::string> bodies_;
  std::vector<Delivered> answers_;
};

Delivery letter(const std::string& body) {
  Delivery delivery;
  delivery.post = "http://127.0.0.1/x";
  delivery.body = body;
  delivery.created = wall_clock_now();
  return delivery;
}

class Letters : public ::testing::Test {
 protected:
  std::unique_ptr<Outbox> open() {
    auto outbox = Outbox::open(folder_.file("outbox"), receiver_.port(), [](const std::string&) {});
    EXPECT_THAT(outbox, IsOk());
    return std::move(*outbox);
  }
  std::size_t files() {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder_.file("outbox")))
      count += entry.path().extension() == ".json" ? 1 : 0;
    return count;
  }
  memspy::testing::TempDir folder_;
  Receiver receiver_;
};

TEST_F(Letters, are_delivered_once_and_gone) {
  {
    const auto outbox = open();
    outbox->add(letter("one"));
    outbox->add(letter("two"));
    EXPECT_THAT(receiver_.bodies(2), ElementsAre("one", "two"));
  }
  EXPECT_EQ(files(), 0U);
}

TEST_F(Letters, what_fails_is_tried_again) {
  receiver_.will_answer({Delivered::kLater});
  const auto outbox = open();
  outbox->add(letter("one"));
  EXPECT_THAT(receiver_.bodies(2), ElementsAre("one", "one"));
}

// The end of an alert does not overtake its beginning; what is about others does not wait.
TEST_F(Letters, what_is_about_one_alert_is_told_in_order) {
  const std::string firing = R"({"id":"a","state":"firing"})";
  const std::string resolved = R"({"id":"a","state":"resolved"})";
  const std::string other = R"({"id":"b","state":"firing"})";
  receiver_.will_answer({Delivered::kLater});
  const auto outbox = open();
  for (const std::string& body : {firing, resolved, other}) outbox->add(letter(body));
  EXPECT_THAT(receiver_.bodies(4), ElementsAre(firing, other, firing, resolved));
}

TEST_F(Letters, the_order_outlives_a_restart) {
  const std::string firing = R"({"id":"a","state":"firing"})";
  const std::string resolved = R"({"id":"a","state":"resolved"})";
  receiver_.will_answer({Delivered::kLater});
  {
    const auto outbox = open();
    outbox->add(letter(firing));
    receiver_.bodies(1);
    outbox->add(letter(resolved));
  }
  const auto outbox = open();
  const auto bodies = receiver_.bodies(3);
  EXPECT_THAT(std::vector(bodies.end() - 2, bodies.end()), ElementsAre(firing, resolved));
}

TEST_F(Letters, what_was_not_delivered_goes_on_after_a_restart) {
  receiver_.will_answer({Delivered::kLater, Delivered::kLater});
  {
    const auto outbox = open();
    outbox->add(letter("one"));
    receiver_.bodies(1);
  }
  EXPECT_EQ(files(), 1U);
  { std::ofstream(folder_.file("outbox/broken.json")) << "{"; }
  const auto outbox = open();
  EXPECT_GE(receiver_.bodies(2).size(), 2U);
}

TEST_F(Letters, what_is_refused_is_dropped) {
  receiver_.will_answer({Delivered::kNever});
  {
    const auto outbox = open();
    outbox->add(letter("one"));
    receiver_.bodies(1);
    while (outbox->figures().waiting + (outbox->figures().given_up == 0 ? 1 : 0) > 0)
      ::usleep(1000);
    EXPECT_EQ(outbox->figures().given_up, 1U);
  }
  EXPECT_EQ(files(), 0U);
}

Delivery hook(const std::string& body) {
  Delivery delivery = letter(body);
  delivery.post.clear();
  delivery.hook = {body};
  return delivery;
}

// The first one is done once the second is.
void expect_that_second_overtakes(const std::string& folder, const Delivery& first,
                                  const Delivery& second) {
  std::promise<void> done;
  auto outbox = Outbox::open(
      folder,
      [&](const Delivery& delivery, const std::atomic<bool>&) {
        if (delivery.body == second.body)
          done.set_value();
        else
          EXPECT_EQ(done.get_future().wait_for(20s), std::future_status::ready);
        return Delivered::kDone;
      },
      [](const std::string&) {});
  ASSERT_THAT(outbox, IsOk());
  (*outbox)->add(first);
  (*outbox)->add(second);
}

TEST_F(Letters, a_hook_does_not_wait_for_another) {
  expect_that_second_overtakes(folder_.file("outbox"), hook("one"), hook("two"));
}

TEST_F(Letters, a_post_does_not_wait_for_a_hook) {
  expect_that_second_overtakes(folder_.file("outbox"), hook("one"), letter("two"));
}

TEST(Pause, is_ever_longer_and_bounded) {
  EXPECT_EQ(delivery_pause(1), 1s);
  EXPECT_EQ(delivery_pause(2), 2s);
  EXPECT_EQ(delivery_pause(5), 16s);
  EXPECT_EQ(delivery_pause(1000), 5min);
}

TEST(Hook, gets_the_alert_on_its_standard_input) {
  const memspy::testing::TempDir folder;
  Delivery delivery;
  delivery.hook = {"/bin/sh", "-c", "cat > " + folder.file("got")};
  delivery.body = std::string(300000, 'x') + "\n";  // more than a pipe holds
  EXPECT_EQ(deliver(delivery, kNotEnding, [](const std::string&) {}), Delivered::kDone);
  EXPECT_EQ(read_file(folder.file("got")).value_or(""), delivery.body);
}

TEST(Hook, that_fails_is_said_and_not_run_again) {
  std::string said;
  Delivery delivery;
  delivery.hook = {"/bin/sh", "-c", "exit 3"};
  EXPECT_EQ(deliver(delivery, kNotEnding, [&](const std::string& text) { said = text; }),
            Delivered::kNever);
  EXPECT_THAT(said, HasSubstr("exit 3"));
}

TEST(RunChild, a_program_that_takes_too_long_is_killed) {
  ChildOptions options;
  options.command = {"/bin/sleep", "1000"};
  EXPECT_THAT(run_child(options, "", 50ms, kNotEnding), HasErrc(Errc::kTimeout));
}

TEST(RunChild, the_end_of_its_owner_is_its_own) {
  ChildOptions options;
  options.command = {"/bin/sleep", "1000"};
  const std::atomic<bool> ending{true};
  EXPECT_THAT(run_child(options, "", 1h, ending), HasErrc(Errc::kTimeout));
}

TEST(HttpUrl, is_taken_apart) {
  const auto url = parse_http_url("http://example.com:8080/a/b?c=d");
  ASSERT_THAT(url, IsOk());
  EXPECT_EQ(url->host, "example.com");
  EXPECT_EQ(url->port, "8080");
  EXPECT_EQ(url->path, "/a/b?c=d");
  EXPECT_EQ(parse_http_url("http://[::1]:1/")->host, "::1");
  EXPECT_EQ(parse_http_url("http://x")->path, "/");
  for (const char* bad : {"", "x", "https://x/", "http://", "http:///x", "http://a b/",
                          "http://x:/", "http://u:p@x/", "http://x/\r\nEvil: y"})
    EXPECT_THAT(parse_http_url(bad), HasErrc(Errc::kUsage)) << bad;
}

TEST(Post, a_server_that_says_nothing_is_given_up) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(fd.get(), 1), 0);
  socklen_t size = sizeof(address);
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const HttpUrl url{"127.0.0.1", std::to_string(ntohs(address.sin_port)), "/"};
  EXPECT_THAT(post_json(url, "{}", 100ms), HasErrc(Errc::kTimeout));
  EXPECT_THAT(post_json({"127.0.0.1", "1", "/"}, "{}", 100ms), HasErrc(Errc::kOutput));
}

}  // namespace
}  // namespace memspy::daemon

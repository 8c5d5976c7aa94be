#include "daemon/push_queue.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "daemon/alert_history.h"
#include "daemon/push_request.h"
#include "daemon/segment_sink.h"
#include "daemon/shelf.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/temp_dir.h"
#include "unit/daemon/common.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Push, says_what_the_profile_is_of) {
  PushConfig config;
  config.labels = {{"env", "a,b}"}};
  TargetFacts target;
  target.identity = kTarget;
  target.service = "web";
  target.process = "py{x}";
  const auto url = parse_http_url("http://pyroscope:4040/behind/");
  ASSERT_THAT(url, IsOk());
  const std::string path = push_path(*url, config, target, {100s, 160s});
  EXPECT_THAT(path, ::testing::StartsWith("/behind/ingest?name=web%7Benv%3Da_b_%2Chost%3D"));
  EXPECT_THAT(path, HasSubstr("%2Cpid%3D42%2Cprocess%3Dpy_x_%7D&from=100&until=160&format=pprof"));
}

TEST(Push, secrets_come_from_files_of_ones_own) {
  const memspy::testing::TempDir folder;
  PushConfig config;
  config.tenant = "team";
  config.user = "memspy";
  config.password_file = folder.file("password");
  EXPECT_THAT(push_headers(config), HasErrc(Errc::kUnreadable));
  { std::ofstream(config.password_file) << "sesame\n"; }
  ::chmod(config.password_file.c_str(), 0644);
  EXPECT_THAT(push_headers(config), HasErrc(Errc::kUsage));
  ::chmod(config.password_file.c_str(), 0600);
  EXPECT_EQ(push_headers(config).value_or(""),
            "X-Scope-OrgID: team\r\nAuthorization: Basic bWVtc3B5OnNlc2FtZQ==\r\n");
  config.token_file = config.password_file;
  EXPECT_THAT(push_headers(config).value_or(""), HasSubstr("Authorization: Bearer sesame\r\n"));
  {
    std::ofstream(config.token_file) << "a\x01"
                                        "b\n";
  }
  EXPECT_THAT(push_headers(config), HasErrc(Errc::kUsage));
}

// A target that was traced for five minutes from kBegin on, and an endpoint that answers as it is
// told to.
class PushQueueTest : public ::testing::Test {
 protected:
  inline static const ProcessIdentity kTraced{Pid{4242}, 1001};            // of the sample
  static constexpr std::chrono::nanoseconds kBegin = 1700000000s + 250ms;  // of sample_header()

  void SetUp() override {
    Shelf shelf(folder.path());
    ASSERT_THAT(shelf.prepare(), IsOk());
    const auto place = shelf.target_folder(kTraced);
    ASSERT_THAT(place, IsOk());
    SegmentSink sink({*place, 1h});
    ASSERT_THAT(memspy::testing::tell_steady_service(sink, 300, 3), IsOk());
    config.url = "http://pyroscope:4040";
  }
  void show_target() {
    auto status = std::make_shared<DaemonStatus>();
    auto facts = std::make_shared<TargetFacts>();
    facts->identity = kTraced;
    facts->service = "web";
    status->targets.emplace_back().facts = facts;
    board.publish(status);
  }
  PushPorts ports() {
    PushPorts ports;
    ports.wall_now = [this] { return now; };
    ports.post = [this](const HttpUrl&, const HttpPost& post) -> Result<int> {
      asked.push_back(post.path);
      return answer;
    };
    ports.log = [this](const std::string& text) { told.push_back(text); };
    ports.ending = [] { return false; };
    return ports;
  }
  // At so many seconds after the beginning.
  PushQueue::Round at(PushQueue& queue, std::chrono::seconds time) {
    now = kBegin + time;
    return queue.push_window(config, 30min);
  }
  static std::string window(int from, int to) {
    return "&from=" + std::to_string(1700000000 + from) +
           "&until=" + std::to_string(1700000000 + to);
  }

  using Round = PushQueue::Round;
  memspy::testing::TempDir folder;
  StatusBoard board;
  PushConfig config;
  std::chrono::nanoseconds now{};
  int answer = 200;
  std::vector<std::string> asked, told;
};

TEST_F(PushQueueTest, a_window_goes_when_it_is_over_and_on_disk) {
  show_target();
  PushQueue queue(folder.path(), board, ports());
  EXPECT_EQ(at(queue, 0s), Round::kNothing);
  EXPECT_EQ(at(queue, 62s), Round::kNothing);
  EXPECT_EQ(at(queue, 63s), Round::kDone);
  EXPECT_EQ(at(queue, 64s), Round::kNothing);
  EXPECT_THAT(asked, ElementsAre(HasSubstr(window(0, 60))));
  EXPECT_THAT(asked, ElementsAre(HasSubstr("name=web%7B")));
  EXPECT_EQ(queue.figures().profiles, 1U);
  EXPECT_EQ(queue.figures().behind, 3s);
}

TEST_F(PushQueueTest, what_is_not_taken_is_sent_again_and_a_bad_profile_is_not) {
  show_target();
  PushQueue queue(folder.path(), board, ports());
  at(queue, 0s);
  answer = 503;
  EXPECT_EQ(at(queue, 63s), Round::kFailed);
  EXPECT_EQ(at(queue, 70s), Round::kFailed);
  EXPECT_THAT(queue.figures().trouble, HasSubstr("503"));
  EXPECT_THAT(told, ElementsAre(HasSubstr("503"))) << "once";
  answer = 422;
  EXPECT_EQ(at(queue, 80s), Round::kDone);
  EXPECT_EQ(queue.figures().refused, 1U);
  EXPECT_EQ(queue.figures().trouble, "");
  answer = 200;
  EXPECT_EQ(at(queue, 130s), Round::kDone);
  EXPECT_THAT(asked, ElementsAre(HasSubstr(window(0, 60)), HasSubstr(window(0, 60)),
                                 HasSubstr(window(0, 60)), HasSubstr(window(60, 120))));
}

TEST_F(PushQueueTest, the_next_daemon_goes_on_also_with_targets_that_have_ended) {
  show_target();
  {
    PushQueue before(folder.path(), board, ports());
    at(before, 0s);  // and is killed
  }
  board.publish(std::make_shared<DaemonStatus>());
  PushQueue after(folder.path(), board, ports());
  EXPECT_EQ(at(after, 63s), Round::kDone);
  EXPECT_THAT(asked, ElementsAre(HasSubstr("name=web%7B")));
  EXPECT_EQ(at(after, 40min), Round::kDone) << "what nobody records any more is forgotten";
  EXPECT_THAT(asked, SizeIs(1));
  EXPECT_THAT(told, ElementsAre(HasSubstr("are recorded no more")));
}

TEST_F(PushQueueTest, who_was_there_while_the_endpoint_was_away_is_known_afterwards) {
  show_target();
  answer = 503;
  {
    PushQueue before(folder.path(), board, ports());
    for (int minute = 0; minute <= 25; ++minute) at(before, minute * 1min);
  }
  board.publish(std::make_shared<DaemonStatus>());
  answer = 200;
  asked.clear();
  PushQueue after(folder.path(), board, ports());
  for (int round = 0; round < 10; ++round) at(after, 29min);
  EXPECT_THAT(asked, SizeIs(6)) << "five minutes were recorded, and the tick after them";
}

TEST_F(PushQueueTest, a_clock_that_is_set_back_is_not_waited_for) {
  show_target();
  PushQueue queue(folder.path(), board, ports());
  at(queue, 200s);
  at(queue, 0s);
  EXPECT_EQ(at(queue, 63s), Round::kDone);
  EXPECT_THAT(asked, ElementsAre(HasSubstr(window(0, 60))));
}

TEST_F(PushQueueTest, a_state_that_makes_no_sense_is_none) {
  for (const char* text :
       {"{", "{\"until_ns\":\"x\",\"targets\":7}", "{\"targets\":[7,{},{\"pid\":1}]}"}) {
    { std::ofstream(folder.file("pushed.json")) << text; }
    PushQueue queue(folder.path(), board, ports());
    EXPECT_EQ(at(queue, 0s), Round::kNothing);
    EXPECT_EQ(at(queue, 63s), Round::kDone);
    EXPECT_THAT(asked, IsEmpty());
  }
}

std::string line(const std::string& time, const std::string& state, const char* name = "big") {
  return R"({"schema":"memspy.alert/1","alert":")" + std::string(name) + R"(","state":")" + state +
         R"(","time":")" + time + R"(","when":"rss > 1MiB","pid":42,"start_ticks":7})";
}

TEST(PastAlerts, are_read_back_as_they_were_told) {
  const auto past = parse_past_alert(line("2023-11-14T22:13:20.250Z", "firing"));
  ASSERT_TRUE(past);
  EXPECT_EQ(past->target, kTarget);
  EXPECT_EQ(past->alert.time, 1700000000250ms);
  EXPECT_EQ(past->alert.name, "big");
  for (const std::string& bad : {std::string("{"), std::string("{\"schema\":\"memspy.alert/1\"}"),
                                 line("yesterday", "firing"), std::string()})
    EXPECT_FALSE(parse_past_alert(bad)) << bad;
}

TEST(PastAlerts, of_a_log_only_its_end) {
  const memspy::testing::TempDir folder;
  const std::string path = folder.file("alerts.jsonl");
  EXPECT_THAT(read_past_alerts(path, 1000), HasErrc(Errc::kUsage));
  EXPECT_THAT(read_past_alerts("/dev/zero", 1000), HasErrc(Errc::kUsage));
  const std::string one = line("2023-11-14T22:13:20.000Z", "firing") + "\n";
  { std::ofstream(path) << one << "no JSON\n" << one << one; }
  EXPECT_EQ(read_past_alerts(path, 10 * one.size())->size(), 3U);
  EXPECT_EQ(read_past_alerts(path, one.size() + 5)->size(), 1U);
}

TEST(PastAlerts, a_window_has_what_fired_before_it_and_still_did) {
  AlertHistory history;
  history.add({kTarget, {10s, "over", "", "firing"}});
  history.add({kTarget, {20s, "over", "", "resolved"}});
  history.add({kTarget, {30s, "still", "", "firing"}});
  history.add({{Pid{42}, 8}, {110s, "another's", "", "firing"}});
  history.add({kTarget, {120s, "within", "", "firing"}});
  history.add({kTarget, {220s, "later", "", "firing"}});
  std::vector<std::string> names;
  for (const auto& alert : history.of(kTarget, {100s, 200s})) names.push_back(alert.name);
  EXPECT_THAT(names, ElementsAre("still", "within"));
}

}  // namespace
}  // namespace memspy::daemon

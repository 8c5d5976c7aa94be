#include "daemon/push.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "daemon/alert_history.h"
#include "support/result_matchers.h"
#include "support/temp_dir.h"
#include "unit/daemon/common.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

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
  EXPECT_THAT(names, ::testing::ElementsAre("still", "within"));
}

}  // namespace
}  // namespace memspy::daemon

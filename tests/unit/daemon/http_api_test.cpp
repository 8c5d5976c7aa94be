#include "daemon/http_api.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "daemon/json.h"
#include "daemon/merged_window.h"
#include "daemon/metrics.h"
#include "daemon/recorded_window.h"
#include "daemon/segment_sink.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/temp_dir.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const ProcessIdentity kServed{Pid{4242}, 1001};

TargetStatus target(const ProcessIdentity& identity, const std::string& process) {
  TargetStatus status;
  auto facts = std::make_shared<TargetFacts>();
  facts->identity = identity;
  facts->service = "web";
  facts->process = process;
  facts->command = "python3 app.py --password=secret";
  status.facts = facts;
  status.master = identity.pid;
  status.figures[SeriesColumn::kRssBytes] = 123456;
  status.growth_per_minute = 600;
  status.tracer = "tracing";
  status.traced.samples = 7;
  status.traced.collections[1] = 3;
  return status;
}

class Api : public ::testing::Test {
 protected:
  void SetUp() override {
    // The sample run as the tracer of 4242 would have written it.
    std::filesystem::create_directories(folder_.file("targets/4242-1001"));
    SegmentSink segments({folder_.file("targets/4242-1001"), 1h});
    ASSERT_THAT(memspy::testing::tell_sample_run(segments), IsOk());
    std::filesystem::create_directories(folder_.file("series"));
    SegmentSink series({folder_.file("series"), 1h});
    ASSERT_THAT(memspy::testing::tell_sample_run(series), IsOk());
    auto status = std::make_shared<DaemonStatus>();
    status->published = std::chrono::steady_clock::now();
    status->targets.push_back(target(kServed, "python3"));
    board_.publish(status);
    options_.state_dir = folder_.path();
    options_.loopback = true;
  }
  HttpAnswer ask(const std::string& path, const std::string& headers = "Host: localhost\r\n") {
    const auto parsed = parse_http_request("GET " + path + " HTTP/1.1\r\n" + headers + "\r\n");
    if (!parsed.request) return {parsed.status, "", parsed.why, "", ""};
    // Three seconds after the sample run began, whose ticks are at one and two.
    const auto now = memspy::testing::sample_header().wall_start + 3s;
    return HttpApi(board_, options_, [now] { return now; }).answer(*parsed.request);
  }
  memspy::testing::TempDir folder_;
  StatusBoard board_;
  HttpApiOptions options_;
};

TEST_F(Api, every_path_answers) {
  EXPECT_THAT(ask("/").body, HasSubstr("<script type=\"text/plain\" id=\"data\">daemon</script>"));
  EXPECT_THAT(ask("/healthz").body, HasSubstr("\"ok\":true"));
  EXPECT_THAT(ask("/metrics").body,
              HasSubstr("memspy_target_rss_bytes{service=\"web\",pid=\"4242\""));
  EXPECT_THAT(ask("/targets").body, HasSubstr("memspy.targets/1"));
  EXPECT_THAT(ask("/targets/4242/series").body, HasSubstr("time_seconds,rss_bytes"));
  EXPECT_THAT(ask("/targets/4242/series?format=jsonl").body, HasSubstr("memspy.series/1"));
  EXPECT_THAT(ask("/targets/4242/flamegraph").body,
              HasSubstr("<module> (app.py:40);load (app.py:12) "));
  EXPECT_THAT(ask("/targets/4242/pprof?seconds=60").body, StartsWith("\x1f\x8b"));
}

TEST_F(Api, a_window_has_what_is_in_it) {
  // The second of its two ticks; the sample's other process is not this target's.
  const std::string two = ask("/targets/4242/flamegraph?seconds=2").body;
  const std::string all = ask("/targets/4242/flamegraph?seconds=300").body;
  EXPECT_THAT(two, Not(HasSubstr("loads (__init__.py")));
  EXPECT_THAT(all, HasSubstr("loads (__init__.py"));
  EXPECT_THAT(all, Not(HasSubstr("info (")));
}

TEST_F(Api, a_target_has_a_page_and_its_data) {
  const auto start = memspy::testing::sample_header().wall_start;
  AlertHistory history;
  history.add({kServed, {start + 2s, "big", "rss > 1MiB", "firing"}});
  history.add({{Pid{4242}, 999}, {start + 2s, "of-another", "", "firing"}});
  options_.history = &history;
  options_.words = [](const auto&, const auto&) {
    return sinks::RunWords{"t", "It grew.", "", ""};
  };
  const Json data = parse_json(ask("/targets/4242/page?seconds=60").body);
  EXPECT_EQ(data["schema"], "memspy.page/1");
  EXPECT_EQ(data["run"]["head"]["words"]["verdict"], "It grew.");
  EXPECT_EQ(data["run"]["head"]["end_seconds"], 3);  // since it began
  ASSERT_EQ(data["alerts"].size(), 1U);
  EXPECT_EQ(data["alerts"][0]["time_seconds"], 2);
  const HttpAnswer page = ask("/targets/4242/html");
  EXPECT_THAT(page.body, HasSubstr("application/gzip;base64"));
  EXPECT_THAT(page.body, Not(HasSubstr("secret")));
  // It may do what its own head says, and ask nobody; the dashboard asks whom it came from.
  EXPECT_THAT(page.policy, HasSubstr("script-src 'sha256-"));
  EXPECT_THAT(page.policy, Not(HasSubstr("connect-src")));
  EXPECT_THAT(ask("/").policy, HasSubstr("connect-src 'self'"));
  EXPECT_EQ(ask("/targets").policy, "");
}

// What the tracer wrote and what the daemon did are of the same two seconds here.
TEST_F(Api, growth_and_cheap_figures_are_one_run_in_their_order) {
  const auto start = memspy::testing::sample_header().wall_start;
  const auto all = load_window(options_.state_dir, kServed, {start, start + 10s});
  const auto growth = load_growth(options_.state_dir, kServed, {start, start + 10s});
  ASSERT_THAT(all, IsOk());
  EXPECT_EQ(all->points.size(), 2 * growth->points.size());
  EXPECT_EQ(all->totals().growth_bytes(), growth->totals().growth_bytes());
  EXPECT_EQ(all->processes.size(), 1U);
  EXPECT_TRUE(std::is_sorted(all->points.begin(), all->points.end(),
                             [](const auto& a, const auto& b) { return a.time < b.time; }));
  std::filesystem::remove_all(folder_.file("targets"));
  const auto series = load_window(options_.state_dir, kServed, {start, start + 10s});
  ASSERT_THAT(series, IsOk());
  EXPECT_EQ(series->points.size(), growth->points.size());
}

TEST_F(Api, what_is_not_there_is_not_found) {
  for (const char* path :
       {"/nothing", "/targets/1/series", "/targets/1/page", "/targets/1/html", "/targets/4242",
        "/targets/4242/heap", "/targets/-1/series", "/targets/4242x/series",
        "/targets/99999999999999999999/series", "/targets/4242/series/more"})
    EXPECT_EQ(ask(path).status, 404) << path;
  for (const char* path : {"/targets/4242/page?seconds=x", "/targets/4242/series?seconds=x",
                           "/targets/4242/series?seconds=0", "/targets/4242/series?seconds=-5",
                           "/targets/4242/series?format=/etc/passwd", "/targets/../series",
                           "/targets/4242%2f..%2f/series"})
    EXPECT_EQ(ask(path).status, 400) << path;
}

TEST_F(Api, command_lines_are_not_told) {
  EXPECT_THAT(ask("/targets").body, Not(HasSubstr("secret")));
  EXPECT_THAT(ask("/metrics").body, Not(HasSubstr("secret")));
}

TEST_F(Api, a_page_from_elsewhere_is_not_answered_on_loopback) {
  EXPECT_EQ(ask("/targets", "Host: evil.example\r\n").status, 403);
  EXPECT_EQ(ask("/", "Host: evil.example\r\n").status, 403);
  EXPECT_EQ(ask("/targets", "Host: 127.0.0.1:9464\r\n").status, 200);
}

TEST_F(Api, with_a_token_nothing_is_told_without_it) {
  options_.token = "0123456789abcdef";
  options_.loopback = false;
  EXPECT_EQ(ask("/metrics").status, 401);
  for (const char* given : {"Bearer 0123456789abcdeX", "Basic 0123456789abcdef"})
    EXPECT_EQ(ask("/targets", "Host: x\r\nAuthorization: " + std::string(given) + "\r\n").status,
              401);
  for (const char* path : {"/targets/4242/page", "/targets/4242/html", "/nothing"})
    EXPECT_EQ(ask(path).status, 401) << path;
  EXPECT_EQ(ask("/").status, 200);  // it has no data, and asks for the token
  EXPECT_EQ(ask("/metrics", "Host: x\r\nAuthorization: Bearer 0123456789abcdef\r\n").status, 200);
  EXPECT_EQ(ask("/healthz").status, 200);
}

TEST_F(Api, a_loop_that_is_silent_is_not_well) {
  auto status = std::make_shared<DaemonStatus>();
  status->published = std::chrono::steady_clock::now() - 1min;
  board_.publish(status);
  EXPECT_EQ(ask("/healthz").status, 503);
}

TEST(Token, is_a_line_that_others_cannot_read) {
  const memspy::testing::TempDir folder;
  const std::string path = folder.file("token");
  EXPECT_THAT(read_token(path), HasErrc(Errc::kUsage));
  { std::ofstream(path) << "0123456789abcdef\n"; }
  ::chmod(path.c_str(), 0644);
  EXPECT_THAT(read_token(path), HasErrc(Errc::kUsage));
  ::chmod(path.c_str(), 0600);
  EXPECT_EQ(read_token(path).value_or(""), "0123456789abcdef");
  { std::ofstream(path) << "short\n"; }
  EXPECT_THAT(read_token(path), HasErrc(Errc::kUsage));
}

TEST(Metrics, names_of_targets_cannot_leave_their_label) {
  DaemonStatus status;
  status.targets.push_back(target(kServed, "a\"} 1\nevil{x=\"\\\xff"));
  const std::string text = metrics_text(status);
  EXPECT_THAT(text, Not(HasSubstr("\nevil")));
  EXPECT_THAT(text, HasSubstr("process=\"a\\\"} 1\\\\nevil{x=\\\""));
}

TEST(Metrics, as_many_targets_as_are_wanted) {
  DaemonStatus status;
  for (int pid = 1; pid <= 5; ++pid) status.targets.push_back(target({Pid{pid}, 1}, "x"));
  const std::string text = metrics_text(status, 2);
  EXPECT_THAT(text, HasSubstr("pid=\"2\""));
  EXPECT_THAT(text, Not(HasSubstr("pid=\"3\"")));
  EXPECT_THAT(text, HasSubstr("memspy_targets 5\n"));
}

}  // namespace
}  // namespace memspy::daemon

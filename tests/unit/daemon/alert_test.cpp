#include <gmock/gmock.h>

#include "daemon/alert_book.h"
#include "daemon/alert_expression.h"
#include "daemon/alert_state.h"
#include "support/result_matchers.h"
#include "unit/daemon/common.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using memspy::testing::HasErrc;
using memspy::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

AlertFigures figures() {
  AlertFigures figures;
  figures.rss = 400 * kMiB;
  figures.limit = 500 * kMiB;
  figures.usage = 450 * kMiB;
  figures.growth_per_minute = 5 * kMiB;
  figures.threads = 12;
  figures.heap_objects = 3e6;
  figures.objects_growth_per_minute = 1.5e6;
  return figures;
}

std::optional<bool> now(const char* text) {
  const auto expression = parse_alert(text);
  EXPECT_THAT(expression, IsOk()) << text;
  return holds(*expression, figures());
}

TEST(AlertExpression, says_what_a_person_means) {
  EXPECT_EQ(now("rss > 300MiB"), true);
  EXPECT_EQ(now("rss>400MiB"), false);
  EXPECT_EQ(now("rss >= 400MiB"), true);
  EXPECT_EQ(now("rss < 1GiB"), true);
  EXPECT_EQ(now("rss > 79% of limit"), true);
  EXPECT_EQ(now("rss > 80% of limit for 1m"), false);
  EXPECT_EQ(now("growth > 4MiB/min"), true);
  EXPECT_EQ(now("growth > 1MiB/s"), false);
  EXPECT_EQ(now("growth > 200MiB/h for 5m"), true);
  EXPECT_EQ(now("rss growth > 4MiB/min"), true);
  EXPECT_EQ(now("limit in < 15m"), true);  // 50 MiB at 5 MiB a minute
  EXPECT_EQ(now("limit in < 9m"), false);
  EXPECT_EQ(now("threads > 10"), true);
  EXPECT_EQ(now("heap.objects > 5e6"), false);
  EXPECT_EQ(now("heap.objects growth > 1e6/min"), true);
  EXPECT_EQ(now("heap.objects growth > 100000/s for 1m"), false);
}

// Four workers of 45 MiB each fill the group of 200 MiB, and none of them is large.
TEST(AlertExpression, a_group_is_filled_by_all_of_its_processes) {
  AlertFigures worker;
  worker.rss = 45 * kMiB;
  worker.limit = 200 * kMiB;
  worker.usage = 180 * kMiB;
  worker.growth_per_minute = 30 * kMiB;
  worker.usage_growth_per_minute = 120 * kMiB;
  const auto says = [&](const char* text) { return holds(*parse_alert(text), worker); };
  EXPECT_EQ(says("rss > 80% of limit"), false);
  EXPECT_EQ(says("cgroup > 80% of limit"), true);
  EXPECT_EQ(says("cgroup > 181MiB"), false);
  EXPECT_EQ(says("cgroup growth > 100MiB/min"), true);
  EXPECT_EQ(measure(*parse_alert("limit in < 1m"), worker), 10);
  worker.usage_growth_per_minute.reset();  // not known yet
  EXPECT_EQ(measure(*parse_alert("limit in < 1m"), worker), 40);
  worker.usage_growth_per_minute = 0;  // what grows takes the place of what others give back
  EXPECT_EQ(says("limit in < 1d"), std::nullopt);
}

TEST(AlertExpression, for_is_how_long) {
  EXPECT_EQ(parse_alert("rss > 1MiB for 90s")->hold, 90s);
  EXPECT_EQ(parse_alert("rss > 1MiB")->hold, 0s);
}

TEST(AlertExpression, what_is_not_known_is_neither_true_nor_false) {
  EXPECT_EQ(now("swap > 1MiB"), std::nullopt);
  EXPECT_EQ(now("heap.used growth > 1MiB/min"), std::nullopt);
  AlertFigures without = figures();
  without.limit.reset();
  EXPECT_EQ(holds(*parse_alert("rss > 1% of limit"), without), std::nullopt);
  EXPECT_EQ(holds(*parse_alert("limit in < 1d"), without), std::nullopt);
  AlertFigures shrinking = figures();
  shrinking.growth_per_minute = -kMiB;
  EXPECT_EQ(holds(*parse_alert("limit in < 1d"), shrinking), std::nullopt);
}

TEST(AlertExpression, the_limit_itself_is_no_time_away) {
  AlertFigures full = figures();
  full.usage = full.limit;
  EXPECT_EQ(measure(*parse_alert("limit in < 1m"), full), 0);
}

class BadAlerts : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(BadAlerts, are_refused_with_what_was_expected) {
  const auto expression = parse_alert(GetParam().first);
  ASSERT_THAT(expression, HasErrc(Errc::kUsage)) << GetParam().first;
  EXPECT_THAT(expression.error().why, HasSubstr(GetParam().second)) << GetParam().first;
}

INSTANTIATE_TEST_SUITE_P(
    , BadAlerts,
    ::testing::Values(
        std::pair{"", "at its end"}, std::pair{"cpu > 5", "at \"cpu\""}, std::pair{"rss", "> or <"},
        std::pair{"rss >", "a size"}, std::pair{"heap.objects growth > 1MiB/min", "as 1e6/min"},
        std::pair{"rss > lots", "a size"}, std::pair{"rss > 80%", "\"of limit\""},
        std::pair{"rss > 80% of ram", "\"of limit\""},
        std::pair{"rss > 80% of limit for", "a time after"},
        std::pair{"rss > 1MiB for 5", "a time after"}, std::pair{"rss > 1MiB and", "nothing more"},
        std::pair{"growth > 5MiB", "a rate"}, std::pair{"growth > 5MiB/fortnight", "a rate"},
        std::pair{"limit < 5m", "\"in\""}, std::pair{"limit in < 5", "a time"},
        std::pair{"threads > 80% of limit", "a size"},
        std::pair{"threads growth > 1/min", "only rss"}, std::pair{"threads > -1", "a number"},
        std::pair{"threads > nan", "a number"}));

using Event = AlertState::Event;

TEST(AlertState, fires_once_it_has_held_long_enough) {
  AlertState state(5s, 1min);
  EXPECT_EQ(state.update(SteadyTime(1s), false), Event::kNone);
  EXPECT_EQ(state.update(SteadyTime(2s), true), Event::kNone);
  EXPECT_TRUE(state.concerned(SteadyTime(2s)));
  EXPECT_EQ(state.update(SteadyTime(6s), true), Event::kNone);
  EXPECT_EQ(state.update(SteadyTime(7s), true), Event::kFire);
  EXPECT_EQ(state.update(SteadyTime(8s), true), Event::kNone);
}

TEST(AlertState, what_holds_with_pauses_does_not_hold) {
  AlertState state(5s, 1min);
  for (int second = 0; second < 100; ++second)
    EXPECT_EQ(state.update(SteadyTime(second * 1s), second % 4 != 0), Event::kNone);
}

TEST(AlertState, is_resolved_once_it_is_calm_and_cools_down_before_it_fires_again) {
  AlertState state(0s, 1min);
  EXPECT_EQ(state.update(SteadyTime(0s), true), Event::kFire);
  EXPECT_EQ(state.update(SteadyTime(1s), false), Event::kNone);
  EXPECT_EQ(state.update(SteadyTime(5s), true), Event::kNone);  // around its bound
  EXPECT_EQ(state.update(SteadyTime(6s), false), Event::kNone);
  EXPECT_EQ(state.update(SteadyTime(16s), false), Event::kResolve);
  EXPECT_EQ(state.update(SteadyTime(20s), true), Event::kNone);
  EXPECT_EQ(state.update(SteadyTime(59s), true), Event::kNone);
  EXPECT_EQ(state.update(SteadyTime(60s), true), Event::kFire);
}

TEST(AlertState, not_knowing_changes_nothing) {
  AlertState state(0s, 0s);
  EXPECT_EQ(state.update(SteadyTime(0s), std::nullopt), Event::kNone);
  EXPECT_EQ(state.update(SteadyTime(1s), true), Event::kFire);
  EXPECT_EQ(state.update(SteadyTime(60s), std::nullopt), Event::kNone);
  EXPECT_TRUE(state.firing());
}

TEST(AlertState, what_fires_for_long_needs_no_tracer_any_more) {
  AlertState state(0s, 1min);
  state.update(SteadyTime(0s), true);
  EXPECT_TRUE(state.concerned(SteadyTime(9min)));
  EXPECT_FALSE(state.concerned(SteadyTime(11min)));
  EXPECT_TRUE(state.firing());
}

TargetStatus target(double rss) {
  TargetStatus status;
  auto facts = std::make_shared<TargetFacts>();
  facts->identity = {Pid{7}, 70};
  facts->service = "web";
  facts->process = "python3";
  status.facts = facts;
  status.master = Pid{7};
  status.figures[SeriesColumn::kRssBytes] = rss;
  return status;
}

AlertConfig alert(const std::string& name, const std::string& when) {
  AlertConfig config;
  config.name = name;
  config.when = when;
  return config;
}

std::vector<std::string> told(const std::vector<AlertEvent>& events) {
  std::vector<std::string> out;
  for (const AlertEvent& event : events) out.push_back(event.alert.name + " " + event.state);
  return out;
}

TEST(AlertBook, each_alert_has_its_own_standing_with_each_target) {
  AlertBook book;
  AlertConfig other = alert("other", "rss > 1MiB");
  other.service = "db*";
  ASSERT_THAT(book.set_alerts({alert("big", "rss > 100MiB"), alert("huge", "rss > 1GiB"), other}),
              IsOk());
  EXPECT_THAT(told(book.update(target(50 * kMiB), SteadyTime(0s), 0s)), IsEmpty());
  const auto events = book.update(target(200 * kMiB), SteadyTime(1s), 1000s);
  EXPECT_THAT(told(events), ElementsAre("big firing"));
  EXPECT_EQ(events[0].id, "1000000-big-7");
  EXPECT_EQ(events[0].value, 200 * kMiB);
  EXPECT_TRUE(book.concerned({Pid{7}, 70}, SteadyTime(2s)));
  EXPECT_EQ(book.firing(), 1U);
  book.update(target(50 * kMiB), SteadyTime(2s), 1001s);
  const auto resolved = book.update(target(50 * kMiB), SteadyTime(12s), 1011s);
  EXPECT_THAT(told(resolved), ElementsAre("big resolved"));
  EXPECT_EQ(resolved[0].id, "1000000-big-7");
  EXPECT_FALSE(book.concerned({Pid{7}, 70}, SteadyTime(2s)));
}

TEST(AlertBook, a_reload_keeps_what_is_as_it_was) {
  AlertBook book;
  ASSERT_THAT(book.set_alerts({alert("a", "rss > 1MiB"), alert("b", "rss > 1MiB")}), IsOk());
  EXPECT_EQ(book.update(target(kMiB * 2), SteadyTime(0s), 0s).size(), 2U);
  ASSERT_THAT(book.set_alerts({alert("a", "rss > 1MiB"), alert("b", "rss > 1.5MiB")}), IsOk());
  EXPECT_THAT(told(book.update(target(kMiB * 2), SteadyTime(1s), 0s)), ElementsAre("b firing"));
  EXPECT_THAT(book.set_alerts({alert("c", "nonsense")}), HasErrc(Errc::kUsage));
  EXPECT_EQ(book.firing(), 2U);
  EXPECT_EQ(book.end(target(kMiB * 2), 0s, "it is let go")[0].note, "it is let go");
  EXPECT_EQ(book.firing(), 0U);
}

std::vector<std::string> ids(const Result<std::vector<Dropped>>& dropped) {
  EXPECT_THAT(dropped, IsOk());
  std::vector<std::string> out;
  for (const Dropped& one : *dropped) out.push_back(one.id);
  return out;
}

TEST(AlertBook, what_a_reload_takes_away_is_told_to_be_over) {
  AlertBook book;
  AlertConfig narrow = alert("narrow", "rss > 1MiB");
  ASSERT_THAT(book.set_alerts({alert("gone", "rss > 1MiB"), alert("other", "rss > 1MiB"), narrow,
                               alert("calm", "rss > 1GiB")}),
              IsOk());
  book.update(target(kMiB * 2), SteadyTime(0s), 1s);
  AlertConfig cool = alert("other", "rss > 1MiB");
  cool.cool_down = 1h;
  narrow.service = "db*";
  EXPECT_THAT(ids(book.set_alerts({cool, narrow})), ElementsAre("1000-gone-7", "1000-narrow-7"));
  EXPECT_EQ(book.firing(), 1U);
  EXPECT_THAT(told(book.update(target(kMiB * 2), SteadyTime(1s), 2s)), IsEmpty());
  EXPECT_THAT(ids(book.set_alerts({alert("other", "rss > 1.5MiB")})), ElementsAre("1000-other-7"));
  EXPECT_EQ(book.firing(), 0U);
}

TEST(AlertHistory, knows_what_was_never_resolved) {
  AlertHistory history;
  const auto add = [&](const std::string& id, const std::string& state) {
    history.add({{Pid{7}, 70}, {1s, "big", "rss > 1MiB", state}, id, "web", "python3"});
  };
  add("a", "firing");
  add("b", "oom-killed");
  add("a", "resolved");
  add("c", "firing");
  ASSERT_EQ(history.open().size(), 1U);
  EXPECT_EQ(history.open()[0].id, "c");
  EXPECT_EQ(history.open()[0].service, "web");
}

TEST(AlertBook, what_fired_under_the_daemon_before_is_not_told_again) {
  const auto book_after = [](const std::string& when, const std::string& state) {
    AlertBook book;
    EXPECT_THAT(book.set_alerts({alert("big", "rss > 100MiB")}), IsOk());
    book.remember_by([=](const ProcessIdentity&, const std::string& name) {
      const PastAlert told{{Pid{7}, 70}, {995s, name, when, state}, "990000-big-7"};
      return std::optional(AlertHistory::Last{told, 990s});
    });
    return book;
  };
  AlertBook fires = book_after("rss > 100MiB", "firing");
  EXPECT_THAT(told(fires.update(target(200 * kMiB), SteadyTime(1s), 1000s)), IsEmpty());
  EXPECT_EQ(fires.firing(), 1U);
  fires.update(target(50 * kMiB), SteadyTime(2s), 1001s);
  const auto resolved = fires.update(target(50 * kMiB), SteadyTime(12s), 1011s);
  EXPECT_THAT(told(resolved), ElementsAre("big resolved"));
  EXPECT_EQ(resolved[0].id, "990000-big-7");

  AlertBook cools = book_after("rss > 100MiB", "resolved");
  EXPECT_THAT(told(cools.update(target(200 * kMiB), SteadyTime(1s), 1000s)), IsEmpty());
  const auto later = cools.update(target(200 * kMiB), SteadyTime(600s), 1599s);
  EXPECT_THAT(told(later), ElementsAre("big firing"));

  AlertBook other = book_after("rss > 90MiB", "firing");
  EXPECT_THAT(told(other.update(target(200 * kMiB), SteadyTime(1s), 1000s)),
              ElementsAre("big firing"));
}

TEST(AlertBook, the_growth_of_the_heap_is_its_own_measure) {
  AlertBook book;
  ASSERT_THAT(book.set_alerts({alert("heap", "heap.used growth > 1MiB/min")}), IsOk());
  std::vector<std::string> all;
  for (int second = 0; second < 60; ++second) {
    TargetStatus status = target(kMiB);
    status.tracer = "tracing";
    status.traced.heap_used_bytes = second * kMiB / 10;
    for (const auto& line : told(book.update(status, SteadyTime(second * 1s), 0s)))
      all.push_back(line);
  }
  EXPECT_THAT(all, ElementsAre("heap firing"));
}

TEST(AlertJson, has_what_a_hook_needs) {
  AlertBook book;
  AlertConfig config = alert("big", "rss > 1MiB");
  config.labels = {{"severity", "page"}};
  ASSERT_THAT(book.set_alerts({config}), IsOk());
  auto events = book.update(target(2 * kMiB), SteadyTime(0s), 1700000000s);
  ASSERT_EQ(events.size(), 1U);
  events[0].evidence = "/e";
  const Json json = alert_json(events[0]);
  EXPECT_EQ(json["schema"], "memspy.alert/1");
  EXPECT_EQ(json["state"], "firing");
  EXPECT_EQ(json["labels"]["severity"], "page");
  EXPECT_EQ(json["pid"], 7);
  EXPECT_EQ(json["time"], "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(json["evidence"], "/e");
  EXPECT_TRUE(json["growth_bytes_per_minute"].is_null());
  EXPECT_EQ(json["rss_bytes"].dump(), "2097152");
}

}  // namespace
}  // namespace memspy::daemon

#include "report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "report/annotate.h"
#include "report/caller.h"
#include "report/diff.h"
#include "report/file_pairs.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"

namespace memspy::report {
namespace {

using memspy::testing::IsOk;
using recording::Profile;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
constexpr std::uint64_t kMiB = 1 << 20;

Profile sample_profile() {
  Profile profile;
  EXPECT_THAT(memspy::testing::tell_sample_run(profile), IsOk());
  return profile;
}

struct Grown {
  std::vector<Frame> root_first;
  std::uint64_t bytes;
};

// A finished run of a minute with this growth, and a summary that fits.
Profile run_of(const std::vector<Grown>& grown, std::int64_t rest = 0) {
  Profile profile;
  profile.header.engine = "faults";
  RunSummary summary;
  summary.duration = std::chrono::minutes(1);
  ProcessRecord process;
  process.index.value = 1;
  process.identity.pid.value = 10;
  EXPECT_THAT(profile.on_process(process), IsOk());
  for (const auto& g : grown) {
    auto& value = profile.growth[{{1}, {}, profile.stacks.intern_stack(g.root_first)}];
    value.touched_bytes += g.bytes;
    value.samples += 10;
    summary.attributed_bytes += g.bytes;
    summary.samples += 10;
  }
  profile.unattributed[{1}] = rest;
  if (rest > 0) summary.unattributed_bytes = static_cast<std::uint64_t>(rest);
  if (rest < 0) summary.shrink_bytes = static_cast<std::uint64_t>(-rest);
  summary.growth_bytes = summary.attributed_bytes + summary.unattributed_bytes;
  summary.rss_start_bytes = 100 * kMiB;
  profile.summary = summary;
  return profile;
}

Frame py(const char* function, std::int32_t line, const char* file = "/srv/app.py") {
  return {function, file, line, FrameKind::kPython};
}

TEST(Groups, ChargeTheInnermostAndCountEachPassOnce) {
  const Frame f = py("f", 1);
  const Profile profile = run_of({{{f, f, f}, 10}, {{f, py("g", 2)}, 5}});
  const auto groups = group_stacks(recording::shape_stacks(profile, {}), GroupBy::kFunction);
  ASSERT_EQ(groups.rows.size(), 2u);
  EXPECT_EQ(groups.rows[0].name, "f (app.py)");
  EXPECT_EQ(groups.rows[0].own, 10u);
  EXPECT_EQ(groups.rows[0].cumulative, 15u);
  EXPECT_EQ(groups.rows[1].own, 5u);
  EXPECT_EQ(groups.total, 15u);
}

TEST(Groups, NativeGrowthGoesToTheLineThatCalledWhenAsked) {
  const Frame native{"malloc", "libc.so.6", 0, FrameKind::kNative};
  const Profile profile = run_of({{{py("f", 3), native}, 7}});
  const auto shaped = recording::shape_stacks(profile, {});
  EXPECT_EQ(group_stacks(shaped, GroupBy::kLine).rows[0].name, "malloc (libc.so.6)");
  const auto python = group_stacks(shaped, GroupBy::kLine, ChargeTo::kInnermostPython);
  EXPECT_EQ(python.rows[0].name, "f (app.py:3)");
}

TEST(Verdict, NamesTheLine) {
  const Profile profile = run_of(
      {{{py("main", 9), py("load", 12)}, 364 * kMiB}, {{py("put", 88)}, 120 * kMiB}}, 28 * kMiB);
  EXPECT_EQ(
      verdict(profile),
      "load (app.py:12) first touched 71 % of 512 MiB growth (512 MiB/min); put (app.py:88) 23 %; "
      "5.5 % is unattributed");
}

TEST(Verdict, NamesTheFunctionWhenItsLinesShareTheGrowth) {
  const Profile profile = run_of({{{py("load", 12)}, 30 * kMiB}, {{py("load", 13)}, 20 * kMiB}});
  EXPECT_EQ(verdict(profile),
            "load (app.py), most of it at line 12, first touched 100 % of 50.0 MiB growth (50.0 "
            "MiB/min)");
}

TEST(Verdict, SaysWhoCalledTheLibraryThatGrew) {
  const Frame start = py("<module>", 33, "/usr/bin/gunicorn");
  const Frame decode = py("raw_decode", 353, "/usr/lib/python3.11/json/decoder.py");
  const Frame chunk = py("chunk", 64, "/usr/lib/python3/dist-packages/gunicorn/http/unreader.py");
  const auto told = [&](std::uint64_t own, std::uint64_t other) {
    return verdict(run_of(
        {{{start, py("remember", 11), decode}, own * kMiB},
         {{start, py("login", 20), py("load", 7, "/v/lib/python3.9/site-packages/m.py"), decode},
          other * kMiB},
         {{start, chunk}, 20 * kMiB}}));
  };
  EXPECT_EQ(told(80, 0),
            "raw_decode (decoder.py:353), for remember (app.py:11), first touched 80 % of 100 MiB "
            "growth (100 MiB/min); chunk (unreader.py:64) 20 %");
  EXPECT_THAT(told(60, 20),
              StartsWith("raw_decode (decoder.py:353), mostly for remember (app.py:11), "));
  EXPECT_THAT(told(20, 60), HasSubstr("mostly for login (app.py:20)"));
  EXPECT_THAT(told(40, 41), HasSubstr("mostly for login (app.py:20)"));
  EXPECT_FALSE(is_library_file("/srv/lib/app.py") || is_library_file("<stdin>"));
  EXPECT_TRUE(is_library_file("<frozen importlib._bootstrap>"));
}

TEST(Verdict, SaysSinceWhenItGrowsWhereTheRunShowsIt) {
  Profile profile = run_of({{{py("f", 1)}, 30 * kMiB}});
  EXPECT_THAT(verdict(profile), Not(HasSubstr("since")));
  profile.points.clear();
  profile.header.wall_start = std::chrono::seconds(1700000000);  // 2023-11-14T22:13:20Z
  profile.last_time = std::chrono::minutes(40);
  for (int minute = 0; minute <= 40; ++minute) {
    SeriesPoint point;
    point.process = ProcessIndex{1};
    point.time = std::chrono::minutes(minute);
    point[SeriesColumn::kRssBytes] =
        (1000.0 + std::max(0, minute - 10)) * static_cast<double>(kMiB);
    profile.points.push_back(point);
  }
  EXPECT_THAT(verdict(profile),
              HasSubstr("; RSS has grown since 22:23:20 UTC, for 30 min 0 s, by 1.0 MiB/min"));
  // It grew before the run began, as the history says.
  profile.points.erase(profile.points.begin(), profile.points.begin() + 11);
  EXPECT_THAT(verdict(profile), Not(HasSubstr("since")));
  for (int minute = -3000; minute < 10; ++minute)
    profile.earlier.push_back(
        {std::chrono::minutes(minute),
         (1000.0 + 0.5 * std::max(-1490, minute - 10)) * static_cast<double>(kMiB)});
  EXPECT_THAT(verdict(profile), HasSubstr("; RSS has grown since 2023-11-13 2"));
  EXPECT_THAT(report_json(profile, {}), HasSubstr("\"growth_start\": {\"time\":\"2023-11-13T2"));
}

SeriesPoint rss_point(std::uint32_t process, int second, std::uint64_t mebibytes) {
  SeriesPoint point;
  point.process = ProcessIndex{process};
  point.time = std::chrono::seconds(second);
  point[SeriesColumn::kRssBytes] = static_cast<double>(mebibytes * kMiB);
  return point;
}

// The daemon's targets are looked at always, and traced when their turn comes.
TEST(Verdict, GrowthThatNothingTracedIsNotSteady) {
  Profile never = run_of({});
  never.points = {rss_point(1, 0, 100), rss_point(1, 30, 250), rss_point(1, 60, 391)};
  EXPECT_EQ(verdict(never),
            "RSS grew by 291 MiB (291 MiB/min), and was not traced: no stack tells why");
  EXPECT_THAT(report_table(never, {}), HasSubstr("\nwhat grew was not traced\n"));
  EXPECT_THAT(report_table(never, {}), HasSubstr("RSS 100 MiB → 391 MiB, peak 391 MiB"));
  EXPECT_THAT(report_table(never, {}), HasSubstr(", 291 MiB grew untraced"));
  EXPECT_THAT(report_json(never, {}), HasSubstr("\"untraced_bytes\": 305135616"));

  Profile hardly = run_of({{{py("f", 1)}, 10 * kMiB}});
  hardly.points = {rss_point(1, 0, 100), rss_point(1, 60, 150)};
  EXPECT_EQ(verdict(hardly),
            "RSS grew by 50.0 MiB (50.0 MiB/min), and 80 % of that was not traced: no stack tells "
            "why; f (app.py:1) first touched 100 % of the rest");
  Profile mostly = run_of({{{py("f", 1)}, 40 * kMiB}});
  mostly.points = {rss_point(1, 0, 100), rss_point(1, 60, 150)};
  EXPECT_THAT(verdict(mostly), StartsWith("f (app.py:1) first touched 100 % of 40.0 MiB growth"));
  EXPECT_THAT(verdict(mostly), HasSubstr("; 10.0 MiB more grew while it was not traced"));

  Profile shrank = run_of({});
  shrank.unattributed.clear();
  shrank.points = {rss_point(1, 0, 300), rss_point(1, 60, 250)};
  EXPECT_EQ(verdict(shrank), "shrank: RSS fell by 50.0 MiB in 1 min 0 s; it was not traced");
}

TEST(Verdict, OfManyWatchedProcessesTheOneThatGrewIsNamed) {
  Profile all = run_of({});
  ProcessRecord other;
  other.index.value = 2;
  other.identity.pid.value = 20;
  other.name = "worker";
  EXPECT_THAT(all.on_process(other), IsOk());
  all.points = {rss_point(1, 0, 100), rss_point(2, 1, 50), rss_point(2, 59, 90),
                rss_point(1, 60, 60)};
  EXPECT_EQ(verdict(all),
            "RSS grew by 40.0 MiB (40.0 MiB/min), and was not traced: no stack tells why; pid 20 "
            "(worker) grew most");
}

TEST(Verdict, SaysWhatCameWithForksAndWhatWasGivenBack) {
  const Frame inherited{"[inherited by fork]", "", 0, FrameKind::kMarker};
  Profile profile = run_of({{{py("f", 1)}, 30 * kMiB}, {{inherited}, 800 * kMiB}});
  EXPECT_THAT(verdict(profile), StartsWith("f (app.py:1) first touched 100 % of 30.0 MiB growth"));
  EXPECT_THAT(verdict(profile), HasSubstr("; 800 MiB besides came with forked children"));
  profile.header.engine = "poll";
  EXPECT_THAT(verdict(profile), StartsWith("f (app.py:1) was running for 100 %"));
  EXPECT_THAT(verdict(run_of({{{inherited}, 800 * kMiB}})),
              StartsWith("steady but for forks: 800 MiB came with forked children"));
  EXPECT_THAT(verdict(run_of({{{py("f", 1)}, 80 * kMiB}}, -20 * static_cast<std::int64_t>(kMiB))),
              HasSubstr("; 20.0 MiB was given back meanwhile"));
}
TEST(Verdict, KnowsSteadyShrinkingAndUnexplainedRuns) {
  EXPECT_EQ(verdict(run_of({})),
            "steady: RSS moved by 0 B in 1 min 0 s; whether the heap fills what was freed, --mode "
            "live tells");
  EXPECT_EQ(verdict(run_of({{{py("f", 1)}, 200 * kMiB}}, -200 * static_cast<std::int64_t>(kMiB))),
            "steady: RSS moved by 0 B in 1 min 0 s; 200 MiB grew while 200 MiB was given back; "
            "whether the heap fills what was freed, --mode live tells");
  EXPECT_THAT(verdict(run_of({{{py("f", 1)}, kMiB}}, -50 * static_cast<std::int64_t>(kMiB))),
              StartsWith("shrank: RSS fell by 49.0 MiB"));
  EXPECT_THAT(verdict(run_of({{{py("f", 1)}, 10 * kMiB}}, 90 * kMiB)),
              StartsWith("mostly unattributed: no stack explains 90 % of 100 MiB growth"));
}

TEST(Evidence, IsOneLine) {
  RunFigures f;
  f.samples = 8112;
  f.rejected = 3;
  f.duration = std::chrono::seconds(100);
  f.stopped = std::chrono::milliseconds(300);
  f.pause_p99 = std::chrono::microseconds(240);
  f.pause_max = std::chrono::microseconds(1100);
  f.growth_bytes = 512 * kMiB;
  f.attributed_bytes = 497 * kMiB;
  EXPECT_EQ(
      evidence_line(f),
      "8112 samples, 3 rejected (0.04 %), stopped 0.3 % of the time (p99 240 µs, max 1.1 ms), "
      "97 % of 512 MiB growth attributed");
  f.growth_bytes = 0;
  EXPECT_THAT(evidence_line(f), HasSubstr("no growth"));
}

// Memory from before the run that is given back stands in no record, only in RSS.
TEST(Figures, AWindowFindsItsShrinkInTheSeries) {
  Profile profile = run_of({{{py("f", 1)}, 30 * kMiB}});
  profile.window.from = std::chrono::seconds(11);
  profile.begin_time = std::chrono::seconds(10);  // the tick before it
  profile.last_time = std::chrono::seconds(40);
  for (const int second : {10, 40}) {
    SeriesPoint point;
    point.process.value = 1;
    point.time = std::chrono::seconds(second);
    point[SeriesColumn::kRssBytes] = static_cast<double>((second == 10 ? 100 : 110) * kMiB);
    point[SeriesColumn::kAttributedBytes] = static_cast<double>(5 * kMiB);
    profile.points.push_back(point);
  }
  const RunFigures f = run_figures(profile);
  EXPECT_EQ(f.rss_start_bytes, 100 * kMiB);
  EXPECT_EQ(f.growth_bytes, 30 * kMiB);
  EXPECT_EQ(f.shrink_bytes, 20 * kMiB);
  EXPECT_EQ(f.duration, std::chrono::seconds(30));
}

TEST(Loss, IsOnTheFirstLine) {
  Profile profile = run_of({{{py("f", 1)}, 50 * kMiB}});
  EXPECT_EQ(loss_line(profile), "");
  profile.summary->samples = 1000;
  profile.summary->rejected = 30;
  EXPECT_THAT(report_table(profile, {}),
              StartsWith("incomplete: 2.9 % of the samples were lost (30 of 1030)\n"));
  profile.summary->rejected = 0;
  Gap gap;
  gap.duration = std::chrono::seconds(6);
  gap.reason = "the target was stopped";
  profile.gaps.push_back(gap);
  EXPECT_THAT(report_json(profile, {}), HasSubstr("no data for 6.0 s (10 % of the time)"));
}

TEST(Report, SaysWhatWasLeftOut) {
  ReportOptions options;
  options.limit = 2;
  EXPECT_THAT(report_table(sample_profile(), options), HasSubstr("and 7 more with"));
}

TEST(Report, IsSoundForARunWithNothingInIt) {
  const Profile empty;
  EXPECT_THAT(report_table(empty, {}), HasSubstr("nothing grew"));
  EXPECT_THAT(report_tree(empty, {}), HasSubstr("all growth"));
  EXPECT_THAT(report_annotated(empty, {}, {}), HasSubstr("no line"));
  AnnotateOptions one;
  one.only_file = "nope.py";
  EXPECT_THAT(report_annotated(empty, {}, one), HasSubstr("no line of nope.py grew, nor one"));
  EXPECT_TRUE(nlohmann::json::accept(report_json(empty, {})));
  const auto diff =
      diff_profiles({{"a", &empty}, {"b", &empty}}, GroupBy::kLine, {}, recording::Amount::kNet);
  EXPECT_THAT(diff_text(diff, {}, 0), HasSubstr("nothing grew"));
}

TEST(Report, JsonHasItsContract) {
  const auto document = nlohmann::json::parse(report_json(sample_profile(), {}));
  EXPECT_EQ(document["schema"], "memspy.report/1");
  EXPECT_EQ(
      document["growth_bytes"].get<std::uint64_t>() - document["shrink_bytes"].get<std::uint64_t>(),
      84 * kMiB + 17 + 4096);
  std::uint64_t own = 0;
  for (const auto& row : document["rows"]) own += row["own_bytes"].get<std::uint64_t>();
  EXPECT_EQ(own, document["total_bytes"]);
}

TEST(Report, NamesCannotDriveATerminal) {
  const Profile profile = run_of({{{py("f\x1b[2J\n", 1)}, 50 * kMiB}});
  for (const auto& text : {report_table(profile, {}), report_tree(profile, {})}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, HasSubstr("f\\x1b[2J\\n"));
  }
}

TEST(Tree, DrawsDeepRecursionWithoutOurOwn) {
  std::vector<Frame> deep;
  for (int i = 1; i <= 16000; ++i) deep.push_back(py("f", i));
  std::vector<Frame> other = deep;
  other.push_back(py("g", 1));
  const std::string text = report_tree(run_of({{deep, 10 * kMiB}, {other, 10 * kMiB}}), {});
  EXPECT_THAT(text, HasSubstr("(app.py:16000)"));
}

TEST(Diff, KnowsAFileInAnotherFolder) {
  const Profile before = run_of({{{py("f", 1, "/srv/r1/app/main.py")}, 60 * kMiB},
                                 {{py("g", 2, "/usr/lib/python3.9/json/decoder.py")}, 9 * kMiB}});
  const Profile after = run_of({{{py("f", 1, "/srv/r2/app/main.py")}, 60 * kMiB},
                                {{py("g", 2, "/opt/lib/python3.13/json/decoder.py")}, 9 * kMiB},
                                {{py("h", 3, "/srv/r2/app/new.py")}, 4 * kMiB}});
  const Diff diff =
      diff_profiles({{"a", &before}, {"b", &after}}, GroupBy::kLine, {}, recording::Amount::kNet);
  ASSERT_EQ(diff.rows.size(), 3u);
  EXPECT_EQ(diff.rows[0].function, "h");
  EXPECT_EQ(diff.rows[1].delta, 0);
  EXPECT_EQ(diff.rows[2].delta, 0);
  const Diff more = diff_profiles({{"a", &before}, {"b", &after}, {"c", &after}}, GroupBy::kLine,
                                  {}, recording::Amount::kNet);
  EXPECT_EQ(more.rows.size(), 3u);
}

TEST(Diff, TakesNoFileForAnotherThatIsThereToo) {
  using Pairs = std::map<std::string, std::string>;
  EXPECT_EQ(pair_files({"/b/app.py"}, {"/a/app.py"}), (Pairs{{"/b/app.py", "/a/app.py"}}));
  EXPECT_EQ(pair_files({"/a/app.py", "/b/app.py"}, {"/a/app.py"}), Pairs{}) << "it has that one";
  EXPECT_EQ(pair_files({"/c/app.py"}, {"/a/app.py", "/b/app.py"}), Pairs{}) << "either";
  EXPECT_EQ(pair_files({"/c/app.py", "/d/app.py"}, {"/a/app.py"}), Pairs{}) << "not both";
  EXPECT_EQ(pair_files({"/r2/x/util.py"}, {"/r1/x/util.py", "/r1/y/util.py"}),
            (Pairs{{"/r2/x/util.py", "/r1/x/util.py"}}));
  EXPECT_EQ(pair_files({"/r2/main.py"}, {"/r1/app.py"}), Pairs{});
}

TEST(Diff, ComparesByRate) {
  Profile before = run_of({{{py("f", 1)}, 60 * kMiB}, {{py("g", 2)}, 10 * kMiB}});
  Profile after = run_of({{{py("f", 1)}, 60 * kMiB}, {{py("h", 3)}, 4 * kMiB}});
  after.summary->duration = std::chrono::minutes(10);
  const auto diff = diff_profiles({{"before", &before}, {"after", &after}}, GroupBy::kLine, {},
                                  recording::Amount::kNet);
  ASSERT_EQ(diff.rows.size(), 3u);
  EXPECT_EQ(diff.rows[0].name, "f (app.py:1)");
  EXPECT_EQ(diff.rows[0].delta, 0);
  EXPECT_LT(diff.rows[0].delta_rate, 0);
  EXPECT_TRUE(diff.rows[0].in_every);
  EXPECT_FALSE(diff.rows[1].in_every);
  EXPECT_THAT(diff_verdict(diff), HasSubstr("h (app.py:3) grows faster in B"));
  const auto document = nlohmann::json::parse(diff_json(diff));
  EXPECT_EQ(document["schema"], "memspy.diff/1");
  EXPECT_EQ(document["grew_in_every"].size(), 1u);
}

// A finished run in mode alloc: samples of 4 ms each, of so many ticks.
struct Allocated {
  std::vector<Frame> root_first;
  std::uint64_t samples;
};
Profile alloc_run_of(const std::vector<Allocated>& spent, std::uint64_t ticks) {
  using std::chrono::milliseconds;
  Profile profile;
  profile.header.mode = "alloc";
  RunSummary summary;
  summary.duration = std::chrono::minutes(1);
  std::uint64_t rest = ticks;
  for (const auto& s : spent) {
    profile.allocation[{{1}, {}, profile.stacks.intern_stack(s.root_first)}] = {
        milliseconds(4 * s.samples), s.samples};
    summary.samples += s.samples;
    rest -= s.samples;
  }
  profile.allocation[{{1}, {}, kNoStack}] = {milliseconds(4 * rest), rest};
  summary.counters = {{"clock_ticks", static_cast<double>(ticks)},
                      {"user_cpu_microseconds", static_cast<double>(4000 * ticks)},
                      {"allocating_microseconds", static_cast<double>(4000 * summary.samples)}};
  profile.summary = summary;
  return profile;
}

Diff diff_of(const Profile& before, const Profile& after) {
  return diff_profiles({{"a", &before}, {"b", &after}}, GroupBy::kFunction, {},
                       recording::Amount::kNet);
}

// Runs differ in length: what counts is the share of the CPU time.
TEST(TimeDiff, ComparesByASecondOfCpuTime) {
  const Profile before = alloc_run_of({{{py("f", 1)}, 100}, {{py("g", 2)}, 50}}, 1000);
  const Profile after = alloc_run_of({{{py("f", 1)}, 1000}, {{py("g", 2)}, 2000}}, 10'000);
  const Diff diff = diff_of(before, after);
  ASSERT_EQ(diff.rows.size(), 2U);
  EXPECT_EQ(diff.rows[0].name, "g (app.py)");
  EXPECT_EQ(diff.rows[0].delta, 7'800'000);
  EXPECT_DOUBLE_EQ(diff.rows[0].cells[0].rate, 50'000);
  EXPECT_DOUBLE_EQ(diff.rows[0].delta_rate, 150'000);
  EXPECT_TRUE(diff.rows[0].clear);
  EXPECT_NEAR(diff.rows[1].delta_rate, 0, 1e-6) << "ten times the time, of ten times the work";
  EXPECT_FALSE(diff.rows[1].clear);
  EXPECT_EQ(diff_verdict(diff),
            "g (app.py) spends more time allocating in B: +150.0 ms/s of CPU time, from 50.0 ms/s "
            "to 200.0 ms/s; in all 150.0 ms/s in A and 300.0 ms/s in B (15 % and 30 % of the CPU "
            "time)");
  EXPECT_THAT(diff_advice(diff), HasSubstr("look at g (app.py) first"));
  EXPECT_THAT(diff_text(diff, {}, 0), Not(HasSubstr("iB")));
  EXPECT_THAT(diff_verdict(diff_of(after, before)), HasSubstr("; g (app.py) spends less: -150"));
}

TEST(TimeDiff, TakesChanceForNoChange) {
  const Profile few = alloc_run_of({{{py("f", 1)}, 10}}, 200);
  const Profile more = alloc_run_of({{{py("f", 1)}, 20}}, 200);  // twice as many
  const Diff chance = diff_of(few, more);
  EXPECT_FALSE(chance.rows[0].clear);
  EXPECT_THAT(diff_verdict(chance), StartsWith("nothing clearly spends more time"));
  EXPECT_THAT(diff_advice(chance), HasSubstr("record both for longer"));
  const Profile long_few = alloc_run_of({{{py("f", 1)}, 1000}}, 20'000);
  const Profile long_more = alloc_run_of({{{py("f", 1)}, 2000}}, 20'000);
  EXPECT_TRUE(diff_of(long_few, long_more).rows[0].clear);
}

// Below a line of Python there is always an allocator; one of the runs may have been without -n.
TEST(TimeDiff, ChargesTheLineAndNotItsAllocator) {
  const Frame malloc{"malloc", "libc.so.6", 0, FrameKind::kNative};
  const Profile before = alloc_run_of({{{py("f", 1)}, 100}}, 1000);
  const Profile after = alloc_run_of({{{py("f", 1), malloc}, 100}}, 1000);
  const Diff diff = diff_of(before, after);
  EXPECT_EQ(diff.rows[0].delta, 0);
  EXPECT_EQ(diff.rows[0].name, "f (app.py)");
}

TEST(TimeDiff, SaysThatOneWasIdle) {
  const Profile idle = alloc_run_of({}, 0), busy = alloc_run_of({{{py("f", 1)}, 100}}, 1000);
  EXPECT_THAT(diff_verdict(diff_of(idle, busy)), HasSubstr("not to be compared"));
  EXPECT_THAT(diff_text(diff_of(idle, idle), {}, 0), HasSubstr("nothing was allocated in any"));
}

Profile live_profile() {
  Profile profile;
  EXPECT_THAT(memspy::testing::tell_live_run(profile), IsOk());
  return profile;
}

TEST(Report, WhatIsHeldSaysWhatItHasSurvived) {
  EXPECT_THAT(verdict(live_profile()), HasSubstr("(survived ≥ 40.0 ms and 7 collections)"));
}

TEST(Report, TemporariesAreObjectsAndNoBytes) {
  ReportOptions options;
  options.amount = recording::Amount::kTemporary;
  const std::string text = report_table(live_profile(), options);
  EXPECT_THAT(text, HasSubstr("made 74 % of 404 objects that were seen to come and go"));
  EXPECT_THAT(text, HasSubstr("temporary"));
  EXPECT_THAT(text, HasSubstr("[unattributed]"));
  const auto json = nlohmann::json::parse(report_json(live_profile(), options));
  EXPECT_EQ(json["temporary"], true);
  EXPECT_EQ(json["total_objects"], 404);
  EXPECT_EQ(json["growth_bytes"], 2 * kMiB);
}

TEST(Report, ARunWithoutTemporariesSaysSo) {
  Profile profile = live_profile();
  profile.temporaries.clear();
  EXPECT_THAT(verdict(profile, {}, recording::Amount::kTemporary),
              StartsWith("no object was seen to come and go"));
}

}  // namespace
}  // namespace memspy::report

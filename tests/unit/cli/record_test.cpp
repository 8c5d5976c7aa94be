// record and attach over a fake session: files, exit codes, what is kept when something fails.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/condition.h"
#include "cli/fd_output.h"
#include "cli/json_text.h"
#include "cli/signals.h"
#include "cli/sinks_live.h"
#include "cli/target_fate.h"
#include "recording/recording.h"
#include "sinks/sink_registry.h"
#include "support/fake_proc_dir.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::FakeWorld;
using memspy::testing::HasErrc;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class Record : public ::testing::Test {
 protected:
  Record() { fs::create_directories(folder_); }
  ~Record() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string text(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  static Json last_line(const std::string& out) {
    const auto end = out.find_last_not_of('\n');
    const auto start = out.rfind('\n', end);
    return Json::parse(out.substr(start == std::string::npos ? 0 : start + 1));
  }

  fs::path folder_ = fs::temp_directory_path() / ("memspy-record-" + std::to_string(::getpid()));
  FakeWorld world_;
};

using Files = std::vector<std::string>;

TEST_F(Record, writes_the_format_of_the_suffix_and_nothing_else) {
  EXPECT_EQ(
      world_.run({"record", "4242", "-o", path("out.folded"), "--timeseries", path("out.csv")}), 0)
      << world_.err();
  EXPECT_EQ(files(), (Files{"out.csv", "out.folded"}));
  EXPECT_THAT(text(path("out.folded")), HasSubstr("<module> (app.py:40);load (app.py:12) "));
  EXPECT_THAT(text(path("out.csv")), HasSubstr("time_seconds"));
  EXPECT_THAT(world_.err(), HasSubstr("wrote " + path("out.folded")));
  EXPECT_THAT(world_.err(), HasSubstr("795 samples"));
  EXPECT_EQ(world_.out(), "");
}

TEST_F(Record, a_live_output_is_what_report_derives) {
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("a.folded")}), 0);
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("b.memspy")}), 0) << world_.err();
  EXPECT_EQ(world_.run({"report", path("b.memspy"), "-o", path("b.folded")}), 0) << world_.err();
  EXPECT_EQ(text(path("a.folded")), text(path("b.folded")));
  EXPECT_EQ(world_.run({"report", path("b.memspy"), "-o", path("b.pdf")}), 2);
  EXPECT_THAT(world_.err(), HasSubstr("names no format"));
  EXPECT_EQ(files(), (Files{"a.folded", "b.folded", "b.memspy"}));
}

TEST_F(Record, every_format_is_the_same_live_and_derived) {
  EXPECT_EQ(world_.run({"record", "4242", "-s", "-o", path("b.memspy")}), 0) << world_.err();
  for (const auto& format : sinks::formats()) {
    if (format.write == nullptr) continue;
    const std::string suffix(format.suffixes.front());
    EXPECT_EQ(world_.run({"record", "4242", "-s", "-o", path("a" + suffix)}), 0) << world_.err();
    EXPECT_EQ(world_.run({"report", path("b.memspy"), "-s", "-o", path("b" + suffix)}), 0);
    EXPECT_EQ(text(path("a" + suffix)), text(path("b" + suffix))) << format.name;
    EXPECT_GT(text(path("a" + suffix)).size(), 100U) << format.name;
  }
}

TEST_F(Record, report_shows_the_peak_and_what_came_and_went) {
  {
    auto writer = recording::Writer::create(path("live.memspy"));
    ASSERT_TRUE(writer.has_value());
    ASSERT_TRUE(memspy::testing::tell_live_run(**writer).has_value());
  }
  EXPECT_EQ(world_.run({"report", path("live.memspy"), "--peak", "-f", "folded"}), 0);
  EXPECT_THAT(world_.out(), HasSubstr("load (app.py:12) 5242880"));
  EXPECT_THAT(world_.err(), HasSubstr("the peak is at 2.0 s: 5.0 MiB had grown"));
  for (const std::string format :
       {"folded", "speedscope", "svg", "json", "text", "tree", "pprof"}) {
    EXPECT_EQ(world_.run({"report", path("live.memspy"), "--temporary", "-f", format, "-o",
                          path("x." + format)}),
              0)
        << format << world_.err();
  }
  EXPECT_THAT(text(path("x.folded")), HasSubstr("[unattributed] 4\n"));
  EXPECT_THAT(text(path("x.json")), HasSubstr("\"total_objects\": 404"));
  EXPECT_THAT(text(path("x.tree")), HasSubstr("all temporaries"));
  EXPECT_EQ(world_.run({"report", path("live.memspy"), "--temporary", "-o", path("x.html")}), 2);
}

TEST_F(Record, what_a_run_has_not_measured_is_refused) {
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("b.memspy")}), 0);
  EXPECT_EQ(world_.run({"report", path("b.memspy"), "--temporary"}), 2);
  EXPECT_THAT(world_.err(), HasSubstr("a run of mode growth has not seen"));
}

TEST_F(Record, json_is_the_last_line_of_stdout) {
  EXPECT_EQ(world_.run({"record", "4242", "-o", "-", "--json"}), 0) << world_.err();
  EXPECT_THAT(world_.out(), HasSubstr("load (app.py:12) "));
  const Json json = last_line(world_.out());
  EXPECT_EQ(json["schema"], "memspy.record/1");
  for (const char* key : {"engine", "duration_seconds", "samples", "rejected", "growth_bytes",
                          "attributed_bytes", "unattributed_bytes", "shrink_bytes",
                          "stopped_seconds", "pause_us", "rss_bytes", "ended_by"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_TRUE(files().empty());
}

TEST_F(Record, expands_names) {
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("%n-%p.memspy")}), 0) << world_.err();
  EXPECT_EQ(world_.run({"record", "-o", path("x-%p.memspy"), "--", "true"}), 0) << world_.err();
  EXPECT_EQ(files(), (Files{"python3-4242.memspy", "x-4242.memspy"}));
}

TEST_F(Record, refuses_a_file_that_exists_before_attaching) {
  for (const char* name : {"a.folded", "a.memspy"}) {
    std::ofstream(path(name)) << "precious";
    EXPECT_EQ(world_.run({"record", "4242", "-o", path(name)}), 7);
    EXPECT_THAT(world_.err(), HasSubstr("--force"));
    EXPECT_EQ(text(path(name)), "precious");
  }
  EXPECT_EQ(world_.script.started, 0);
  EXPECT_EQ(files(), (Files{"a.folded", "a.memspy"}));
}

TEST_F(Record, force_replaces_only_when_there_is_something_better) {
  std::ofstream(path("a.memspy")) << "precious";
  world_.script.start_error = make_error(Errc::kPermission, "no");
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("a.memspy"), "--force"}), 4);
  EXPECT_EQ(text(path("a.memspy")), "precious");
  world_.script.start_error.reset();
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("a.memspy"), "--force"}), 0) << world_.err();
  EXPECT_EQ(files(), (Files{"a.memspy"}));
  EXPECT_EQ(world_.run({"report", path("a.memspy")}), 0);
}

TEST_F(Record, a_folder_that_is_not_there_is_exit_7_before_attaching) {
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("no/out.folded")}), 7);
  EXPECT_EQ(world_.script.started, 0);
}

TEST_F(Record, a_refused_target_leaves_no_file) {
  world_.script.start_error = make_error(Errc::kAlreadyTraced, "PID 4242 is traced by gdb (PID 9)");
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("out.folded")}), 9);
  EXPECT_TRUE(files().empty());
}

TEST_F(Record, a_target_gone_before_a_sample_is_exit_6) {
  world_.script.tell_nothing = true;
  world_.script.ended_by = "target exit 0";
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("out.folded")}), 6);
  EXPECT_THAT(world_.err(), HasSubstr("ended before the first good sample"));
  EXPECT_TRUE(files().empty());
}

TEST_F(Record, a_target_gone_after_a_sample_is_exit_0) {
  world_.script.ended_by = "target killed by SIGKILL";
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("out.folded"), "--json"}), 0);
  EXPECT_EQ(last_line(world_.out())["ended_by"], "target killed by SIGKILL");
}

TEST_F(Record, says_how_the_target_ended) {
  world_.script.ended_by = "target exit 3";
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("out.folded")}), 0);
  EXPECT_THAT(world_.err(), HasSubstr("PID 4242 ended: exit 3\n"));
}

TEST_F(Record, says_that_a_job_stopped_target_is_left_so) {
  world_.proc.add(4242, {.state = 'T'});
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("out.folded")}), 0);
  EXPECT_THAT(world_.err(), HasSubstr("stopped by a signal (T) and left so"));
  EXPECT_THAT(world_.err(), HasSubstr("kill -CONT 4242"));
}

TEST(TargetFate, tells_whether_the_oom_killer_struck_meanwhile) {
  memspy::testing::FakeProcDir fake;
  const procfs::ProcDir proc(fake.root(), fake.host_root());
  fake.add(4242, {});
  fake.write(4242, "cgroup", "0::/app\n");
  fake.write_setting("self/mountinfo", "30 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
  fake.write_host("/cg/app/memory.current", "4096\n");
  fake.write_host("/cg/app/memory.events", "low 0\noom 1\noom_kill 1\n");
  const TargetFate fate(proc, Pid{4242});
  EXPECT_EQ(fate.at_start(), "");
  EXPECT_EQ(fate.at_end("duration"), "");
  EXPECT_THAT(fate.at_end("target killed by SIGKILL"), HasSubstr("SIGKILL; not by the OOM killer"));
  EXPECT_EQ(fate.at_end("target exit 0"), "exit 0");
  fake.remove(4242);
  fake.write_host("/cg/app/memory.events", "low 0\noom 2\noom_kill 2\n");
  EXPECT_EQ(fate.at_end("target killed by SIGKILL"),
            "killed by SIGKILL; the OOM killer struck its control group /app 1 time meanwhile");
}

TEST(Output, a_reader_that_went_away_is_told_from_a_full_disk) {
  ignore_write_signals();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  ::close(ends[0]);
  FdOutput gone(ends[1]);
  std::ostream out(&gone);
  EXPECT_FALSE(reader_went_away(out));
  out << "x" << std::flush;
  EXPECT_TRUE(reader_went_away(out));
  ::close(ends[1]);
  FdOutput full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  std::ostream other(&full);
  other << "x" << std::flush;
  EXPECT_FALSE(other.good());
  EXPECT_FALSE(reader_went_away(other));
}

// What a checkpoint of a recording promises: the file alone can be copied and read.
TEST_F(Record, a_folded_recording_is_whole_in_one_file) {
  auto writer = recording::Writer::create(path("run.memspy"));
  ASSERT_TRUE(writer.has_value());
  ASSERT_TRUE(memspy::testing::tell_unfinished_run(**writer).has_value());
  (*writer)->fold();
  fs::copy_file(path("run.memspy"), path("copy.memspy"));
  EXPECT_EQ(world_.run({"report", path("copy.memspy")}), 0) << world_.err();
  EXPECT_THAT(world_.out(), HasSubstr("load (app.py:12)"));
}

TEST_F(Record, a_run_that_fails_keeps_and_names_the_recording) {
  world_.script.run_error = make_error(Errc::kOutput, "the disk is full");
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("out.folded")}), 7);
  // Nothing was measured, so there is nothing to keep.
  EXPECT_TRUE(files().empty());
}

TEST_F(Record, an_output_that_cannot_be_derived_keeps_and_names_the_recording) {
  EXPECT_EQ(world_.run({"record", "4242", "-o", "/dev/full", "-f", "folded"}), 7);
  EXPECT_THAT(world_.err(), HasSubstr("the recording is kept in "));
  const auto start = world_.err().find("kept in ") + 8;
  const std::string kept = world_.err().substr(start, world_.err().find('\n', start) - start);
  EXPECT_EQ(world_.run({"report", kept, "-o", path("again.folded")}), 0) << world_.err();
  fs::remove(kept);
}

TEST_F(Record, fail_on_and_max_error_have_their_exit_codes) {
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("a.folded"), "--fail-on", "rss>120MiB"}), 8);
  EXPECT_THAT(world_.err(), HasSubstr("--fail-on rss>120MiB was met after 2"));
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("b.folded"), "--fail-on", "rss>2GiB"}), 0);
  world_.script.rejected = 5000;
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("c.folded")}), 10);
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("d.folded"), "--max-error", "90"}), 0);
  EXPECT_EQ(files(), (Files{"a.folded", "b.folded", "c.folded", "d.folded"}));
}

TEST_F(Record, fail_on_means_all_processes_together) {
  std::optional<Condition> over(std::move(parse_condition("rss>100MiB")).value());
  WatchSink watch(over);
  const auto tick = [&](int second, std::vector<double> mib) {
    for (std::uint32_t i = 0; i < mib.size(); ++i) {
      SeriesPoint point;
      point.process = ProcessIndex{i + 1};
      point[SeriesColumn::kRssBytes] = mib[i] * (1 << 20);
      ASSERT_THAT(watch.on_point(point), memspy::testing::IsOk());
    }
    ASSERT_THAT(watch.on_tick_end(std::chrono::seconds(second)), memspy::testing::IsOk());
  };
  tick(1, {60});
  tick(2, {60, 30});
  EXPECT_FALSE(watch.failed_at().has_value());
  tick(3, {60, 30, 30});
  EXPECT_EQ(watch.failed_at(), std::chrono::seconds(3));
  EXPECT_EQ(watch.first_rss_bytes(), 60.0 * (1 << 20));
}

TEST_F(Record, checkpoints_write_valid_outputs_on_the_way) {
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("out.folded"), "--checkpoint", "1s"}), 0)
      << world_.err();
  EXPECT_THAT(world_.err(), HasSubstr("checkpoint after 1"));
  EXPECT_EQ(files(), (Files{"out.folded"}));
}

TEST_F(Record, when_waits_for_the_condition) {
  world_.proc.write(4242, "statm", "100000 90000 10 10 0 100 0\n");
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("a.folded"), "--when", "rss>300MiB"}), 0)
      << world_.err();
  EXPECT_THAT(world_.err(), HasSubstr("rss>300MiB holds"));
  world_.proc.remove(4242);
  EXPECT_EQ(world_.run({"record", "4242", "-o", path("b.folded"), "--when", "rss>300GiB"}), 6);
}

TEST_F(Record, quiet_says_nothing) {
  EXPECT_EQ(world_.run({"record", "4242", "-q", "-o", path("a.folded")}), 0);
  EXPECT_EQ(world_.err(), "");
}

TEST(Attach, prints_a_line_per_interval_and_the_verdict) {
  FakeWorld world;
  EXPECT_EQ(world.run({"attach", "4242"}), 0) << world.err();
  EXPECT_THAT(world.out(), HasSubstr("RSS   151 MiB"));
  EXPECT_THAT(world.out(), HasSubstr("load (app.py:12)"));
  EXPECT_THAT(world.err(), HasSubstr("795 samples"));
}

TEST(Attach, json_lines_end_with_the_verdict) {
  FakeWorld world;
  EXPECT_EQ(world.run({"attach", "4242", "--json"}), 0);
  std::istringstream lines(world.out());
  std::string line;
  Json last;
  int count = 0;
  for (; std::getline(lines, line); ++count) {
    last = Json::parse(line);
    EXPECT_EQ(last["schema"], "memspy.attach/1");
  }
  EXPECT_EQ(count, 3);
  EXPECT_EQ(last["event"], "end");
  EXPECT_FALSE(last["verdict"].get<std::string>().empty());
}

class StopSession final : public sampler::Session {
 public:
  Result<RunSummary> run() override { return RunSummary{}; }
  void stop(const char* reason) override { stopped = reason; }
  const RunHeader& header() const override { return header_; }
  const ProcessRecord& target() const override { return target_; }
  std::optional<Pid> launched() const override { return std::nullopt; }
  const char* stopped = nullptr;

 private:
  RunHeader header_;
  ProcessRecord target_;
};

TEST(Signals, stop_the_session_that_is_watched) {
  SignalScope scope;
  StopSession session;
  scope.watch(session);
  ::raise(SIGTERM);
  EXPECT_STREQ(session.stopped, "signal SIGTERM");
  EXPECT_STREQ(SignalScope::stop_reason(), "signal SIGTERM");
}

TEST(Signals, one_that_came_early_stops_at_once) {
  SignalScope scope;
  ::raise(SIGHUP);
  StopSession session;
  scope.watch(session);
  EXPECT_STREQ(session.stopped, "signal SIGHUP");
}

TEST(Signals, sigusr1_asks_for_a_checkpoint_once) {
  SignalScope scope;
  EXPECT_FALSE(SignalScope::take_checkpoint_request());
  ::raise(SIGUSR1);
  EXPECT_TRUE(SignalScope::take_checkpoint_request());
  EXPECT_FALSE(SignalScope::take_checkpoint_request());
}

}  // namespace
}  // namespace memspy::cli

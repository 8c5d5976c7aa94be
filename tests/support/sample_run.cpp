#include "support/sample_run.h"

#include <string>

namespace memspy::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
constexpr std::uint64_t kMiB = 1 << 20;

ProcessRecord process(std::uint32_t index, std::uint32_t parent, pid_t pid, std::string name) {
  ProcessRecord record;
  record.index.value = index;
  record.parent.value = parent;
  record.identity = {Pid{pid}, 1000U + index};
  record.name = std::move(name);
  record.command_line = {"python3", "/srv/app/app.py", "--load=a b"};
  record.python_version = "3.11.7";
  record.executable = "/usr/bin/python3.11";
  record.first_seen = milliseconds(index);
  return record;
}

// Tells frames and stacks as the sampler does: each once, before its use.
class Teller {
 public:
  explicit Teller(SampleSink& sink) : sink_(sink) {}

  Result<StackId> stack(const std::vector<Frame>& root_first) {
    StackId id = kNoStack;
    for (const auto& frame : root_first) {
      const auto frames = table_.frame_count();
      const FrameId frame_id = table_.intern(frame);
      if (table_.frame_count() > frames) MEMSPY_CHECK(sink_.on_frame(frame_id, frame));
      const auto stacks = table_.stack_count();
      id = table_.intern(id, frame_id);
      if (table_.stack_count() > stacks) MEMSPY_CHECK(sink_.on_stack(id, table_.node(id)));
    }
    return id;
  }

 private:
  SampleSink& sink_;
  StackTable table_;
};

SeriesPoint point(nanoseconds time, std::uint32_t process, double rss) {
  SeriesPoint out;
  out.time = time;
  out.process.value = process;
  out[SeriesColumn::kRssBytes] = rss;
  out[SeriesColumn::kThreads] = 3;
  out[SeriesColumn::kCpuPercent] = 12.5;
  out[SeriesColumn::kMinorFaults] = 5000 + std::chrono::duration<double>(time).count();
  return out;
}

const Frame kMain{"<module>", "/srv/app/app.py", 40, FrameKind::kPython};
const Frame kLoad{"load", "/srv/app/app.py", 12, FrameKind::kPython};
const Frame kLoadLater{"load", "/srv/app/app.py", 14, FrameKind::kPython};
const Frame kCache{"Cache.put", "/srv/app/lib/cache.py", 88, FrameKind::kPython};
const Frame kInit{"loads", "/opt/app/lib/python3.11/json/__init__.py", 346, FrameKind::kPython};
const Frame kOtherInit{"info", "/opt/app/lib/python3.11/logging/__init__.py", 1477,
                       FrameKind::kPython};
const Frame kNumpy{"array_empty", "/usr/lib/_multiarray_umath.so", 0, FrameKind::kNative};
const Frame kGc{"[gc]", "", 0, FrameKind::kMarker};
const Frame kOdd{"weird;name\nwith \"quotes\" <b>é\xff", "/srv/app/odd.py", 3, FrameKind::kPython};

GrowthRecord growth(nanoseconds time, std::uint32_t process, std::uint32_t thread, StackId stack,
                    std::uint64_t touched, std::uint64_t returned, std::uint32_t samples) {
  GrowthRecord out;
  out.time = time;
  out.process.value = process;
  out.thread.value = thread;
  out.stack = stack;
  out.touched_bytes = touched;
  out.returned_bytes = returned;
  out.samples = samples;
  return out;
}

Result<Unit> tell_people(SampleSink& sink) {
  MEMSPY_CHECK(sink.on_process(process(1, 0, 4242, "python3")));
  MEMSPY_CHECK(sink.on_process(process(2, 1, 4250, "worker")));
  MEMSPY_CHECK(sink.on_thread({{1}, {1}, Tid{4242}, "MainThread"}));
  MEMSPY_CHECK(sink.on_thread({{2}, {1}, Tid{4243}, "loader; 1"}));
  return sink.on_thread({{3}, {2}, Tid{4250}, ""});
}

Result<Unit> tell_first_tick(SampleSink& sink, Teller& teller) {
  MEMSPY_TRY(load, teller.stack({kMain, kLoad}));
  MEMSPY_TRY(json, teller.stack({kMain, kLoad, kInit}));
  MEMSPY_TRY(native, teller.stack({kMain, kCache, kNumpy}));
  MEMSPY_CHECK(sink.on_point(point(seconds(1), 1, 100.0 * kMiB)));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(1), 1, 1, load, 40 * kMiB, 0, 400)));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(1), 1, 2, json, 8 * kMiB + 17, 0, 80)));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(1), 1, 1, native, 16 * kMiB, 0, 3)));
  MEMSPY_CHECK(sink.on_unattributed({seconds(1), {1}, 3 * kMiB}));
  return sink.on_tick_end(seconds(1));
}

Result<Unit> tell_second_tick(SampleSink& sink, Teller& teller) {
  MEMSPY_TRY(load, teller.stack({kMain, kLoad}));
  MEMSPY_TRY(later, teller.stack({kMain, kLoadLater}));
  MEMSPY_TRY(logging, teller.stack({kMain, kOtherInit}));
  MEMSPY_TRY(collector, teller.stack({kMain, kLoad, kGc}));
  MEMSPY_TRY(odd, teller.stack({kOdd}));
  MEMSPY_CHECK(sink.on_point(point(seconds(2), 1, 131.0 * kMiB)));
  SeriesPoint child = point(seconds(2), 2, 20.0 * kMiB);
  child[SeriesColumn::kCpuPercent] = 0.1;
  MEMSPY_CHECK(sink.on_point(child));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(2), 1, 1, load, 24 * kMiB, 10 * kMiB, 240)));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(2), 1, 1, later, 2 * kMiB, 2 * kMiB, 20)));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(2), 1, 1, collector, kMiB, 0, 1)));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(2), 2, 3, logging, 5 * kMiB, 0, 50)));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(2), 2, 0, odd, 4096, 0, 1)));
  MEMSPY_CHECK(sink.on_unattributed({seconds(2), {1}, -1 * static_cast<std::int64_t>(kMiB)}));
  MEMSPY_CHECK(sink.on_unattributed({seconds(2), {2}, -2 * static_cast<std::int64_t>(kMiB)}));
  MEMSPY_CHECK(sink.on_gap(
      {seconds(2), milliseconds(12), {0}, "rate lowered: stops took 2.4 % of the time", 7}));
  return sink.on_tick_end(seconds(2));
}

}  // namespace

RunHeader sample_header() {
  RunHeader header;
  header.memspy_version = "0.1.0";
  header.mode = "growth";
  header.engine = "faults";
  header.engine_reason = "perf events are allowed";
  header.host = "db-7";
  header.kernel = "6.1.0";
  header.command_line = {"memspy", "record", "-p", "4242"};
  header.wall_start = seconds(1700000000) + milliseconds(250);
  header.interval = seconds(1);
  header.budget_percent = 2;
  header.subprocesses = true;
  return header;
}

RunSummary sample_summary() {
  RunSummary summary;
  summary.duration = milliseconds(2000);
  summary.samples = 795;
  summary.rejected = 3;
  summary.late = 2;
  summary.attributed_bytes = 84 * kMiB + 17 + 4096;
  summary.unattributed_bytes = 2 * kMiB;
  summary.growth_bytes = summary.attributed_bytes + summary.unattributed_bytes;
  summary.shrink_bytes = 2 * kMiB;
  summary.stopped = std::chrono::microseconds(6000);
  summary.pause_p50 = std::chrono::microseconds(60);
  summary.pause_p99 = std::chrono::microseconds(240);
  summary.pause_max = std::chrono::microseconds(1100);
  summary.rss_start_bytes = 60 * kMiB;
  summary.rss_end_bytes = 144 * kMiB + 17 + 4096;
  summary.rss_peak_bytes = 151 * kMiB;
  summary.ended_by = "duration";
  summary.counters = {{"huge_page_bytes", 2097152}, {"own_cpu_seconds", 0.25}};
  return summary;
}

Result<Unit> tell_unfinished_run(SampleSink& sink) {
  Teller teller(sink);
  MEMSPY_CHECK(sink.on_header(sample_header()));
  MEMSPY_CHECK(tell_people(sink));
  MEMSPY_CHECK(tell_first_tick(sink, teller));
  return tell_second_tick(sink, teller);
}

Result<Unit> tell_sample_run(SampleSink& sink) {
  MEMSPY_CHECK(tell_unfinished_run(sink));
  return sink.finish(sample_summary());
}

namespace {

RunHeader alloc_header() {
  RunHeader header = sample_header();
  header.mode = "alloc";
  header.engine = "clock";
  header.budget_percent = 5;
  return header;
}

// Without the counters of its clock.
RunSummary alloc_summary() {
  RunSummary summary = sample_summary();
  summary.rejected = 1;
  summary.late = 0;
  summary.attributed_bytes = summary.unattributed_bytes = summary.growth_bytes = 0;
  summary.shrink_bytes = 0;
  summary.rss_start_bytes = 100 * kMiB;
  summary.rss_end_bytes = summary.rss_peak_bytes = 101 * kMiB;
  return summary;
}

}  // namespace

Result<Unit> tell_unfinished_alloc_run(SampleSink& sink) {
  Teller teller(sink);
  MEMSPY_CHECK(sink.on_header(alloc_header()));
  MEMSPY_CHECK(tell_people(sink));
  MEMSPY_TRY(load, teller.stack({kMain, kLoad}));
  MEMSPY_TRY(json, teller.stack({kMain, kLoad, kInit}));
  MEMSPY_TRY(native, teller.stack({{"[native thread]", "", 0, FrameKind::kMarker}}));
  const auto tell = [&](int second, std::uint32_t process, std::uint32_t thread, StackId stack,
                        std::chrono::microseconds time, std::uint32_t ticks) {
    return sink.on_allocation({seconds(second), {process}, {thread}, stack, time, ticks});
  };
  MEMSPY_CHECK(sink.on_point(point(seconds(1), 1, 100.0 * kMiB)));
  MEMSPY_CHECK(tell(1, 1, 1, kNoStack, std::chrono::microseconds(800'000), 200));
  MEMSPY_CHECK(tell(1, 1, 1, load, std::chrono::microseconds(84'000), 21));
  MEMSPY_CHECK(tell(1, 1, 2, json, std::chrono::microseconds(20'500), 5));
  MEMSPY_CHECK(sink.on_tick_end(seconds(1)));
  MEMSPY_CHECK(sink.on_point(point(seconds(2), 1, 101.0 * kMiB)));
  MEMSPY_CHECK(tell(2, 1, 1, kNoStack, std::chrono::microseconds(400'000), 100));
  MEMSPY_CHECK(tell(2, 1, 1, json, std::chrono::microseconds(30'000), 8));
  MEMSPY_CHECK(tell(2, 2, 3, native, std::chrono::microseconds(4'000), 1));
  return sink.on_tick_end(seconds(2));
}

Result<Unit> tell_alloc_run(SampleSink& sink) {
  MEMSPY_CHECK(tell_unfinished_alloc_run(sink));
  RunSummary summary = alloc_summary();
  summary.samples = 35;
  summary.counters = {{"clock_ticks", 335},
                      {"unclassified_ticks", 2},
                      {"cpu_microseconds", 1'500'000},
                      {"user_cpu_microseconds", 1'338'500},
                      {"allocating_microseconds", 138'500}};
  return sink.finish(summary);
}

Result<Unit> tell_second_alloc_run(SampleSink& sink) {
  Teller teller(sink);
  RunHeader header = alloc_header();
  header.wall_start += seconds(86400);
  MEMSPY_CHECK(sink.on_header(header));
  MEMSPY_CHECK(tell_people(sink));
  MEMSPY_TRY(load, teller.stack({kMain, kLoad}));
  MEMSPY_TRY(json, teller.stack({kMain, kLoad, kInit}));
  const auto tell = [&](StackId stack, milliseconds time, std::uint32_t ticks) {
    return sink.on_allocation({seconds(60), {1}, {1}, stack, time, ticks});
  };
  MEMSPY_CHECK(tell(kNoStack, milliseconds(14'800), 3700));
  MEMSPY_CHECK(tell(load, milliseconds(5000), 1250));
  MEMSPY_CHECK(tell(json, milliseconds(200), 50));
  MEMSPY_CHECK(sink.on_tick_end(seconds(60)));
  RunSummary summary = alloc_summary();
  summary.duration = seconds(60);
  summary.samples = 1300;
  summary.counters = {{"clock_ticks", 5000},
                      {"unclassified_ticks", 20},
                      {"cpu_microseconds", 21'000'000},
                      {"user_cpu_microseconds", 20'000'000},
                      {"allocating_microseconds", 5'200'000}};
  return sink.finish(summary);
}

Result<Unit> tell_second_run(SampleSink& sink) {
  Teller teller(sink);
  RunHeader header = sample_header();
  header.wall_start += seconds(86400);
  MEMSPY_CHECK(sink.on_header(header));
  MEMSPY_CHECK(tell_people(sink));
  MEMSPY_TRY(load, teller.stack({kMain, kLoad}));
  MEMSPY_TRY(native, teller.stack({kMain, kCache, kNumpy}));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(60), 1, 1, load, 200 * kMiB, 0, 2000)));
  MEMSPY_CHECK(sink.on_growth(growth(seconds(60), 1, 1, native, 4 * kMiB, 0, 1)));
  MEMSPY_CHECK(sink.on_tick_end(seconds(60)));
  RunSummary summary = sample_summary();
  summary.duration = seconds(60);
  summary.attributed_bytes = summary.growth_bytes = 204 * kMiB;
  summary.unattributed_bytes = summary.shrink_bytes = 0;
  summary.rss_end_bytes = summary.rss_peak_bytes = summary.rss_start_bytes + 204 * kMiB;
  summary.samples = 2001;
  summary.rejected = 0;
  return sink.finish(summary);
}

Result<Unit> tell_live_run(SampleSink& sink) {
  Teller teller(sink);
  RunHeader header = sample_header();
  header.mode = "live";
  header.engine = "bpf";
  MEMSPY_CHECK(sink.on_header(header));
  MEMSPY_CHECK(tell_people(sink));
  MEMSPY_TRY(load, teller.stack({kMain, kLoad}));
  MEMSPY_TRY(init, teller.stack({kMain, kLoad, kInit}));
  const auto grow = [&](int second, StackId stack, std::uint64_t more, std::uint64_t less) {
    return sink.on_growth({seconds(second), {1}, {1}, stack, more, less, 10});
  };
  MEMSPY_CHECK(sink.on_point(point(seconds(1), 1, 100.0 * kMiB)));
  MEMSPY_CHECK(grow(1, load, 2 * kMiB, 0));
  MEMSPY_CHECK(sink.on_tick_end(seconds(1)));
  MEMSPY_CHECK(grow(2, load, 3 * kMiB, 0));
  MEMSPY_CHECK(sink.on_tick_end(seconds(2)));
  MEMSPY_CHECK(grow(3, load, 0, 4 * kMiB));
  MEMSPY_CHECK(grow(3, init, kMiB, 0));
  MEMSPY_CHECK(sink.on_live({seconds(3), {1}, {1}, load, kMiB, 80 << 10, 60, milliseconds(40), 7}));
  MEMSPY_CHECK(sink.on_live({seconds(3), {1}, {1}, init, kMiB, 80 << 10, 60, milliseconds(90), 9}));
  MEMSPY_CHECK(sink.on_temporary({seconds(3), {1}, {1}, init, 300}));
  MEMSPY_CHECK(sink.on_temporary({seconds(3), {1}, {2}, load, 100}));
  MEMSPY_CHECK(sink.on_temporary({seconds(3), {1}, {}, kNoStack, 4}));
  MEMSPY_CHECK(sink.on_tick_end(seconds(3)));
  RunSummary summary = sample_summary();
  summary.attributed_bytes = summary.growth_bytes = 2 * kMiB;
  summary.unattributed_bytes = summary.shrink_bytes = 0;
  return sink.finish(summary);
}

Result<Unit> tell_steady_service(SampleSink& sink, int ticks, int rows) {
  Teller teller(sink);
  MEMSPY_CHECK(sink.on_header(sample_header()));
  MEMSPY_CHECK(tell_people(sink));
  std::vector<StackId> stacks;
  for (int i = 0; i < rows * 20; ++i) {
    std::vector<Frame> frames{kMain};
    for (int depth = 0; depth < 12; ++depth) {
      const std::string name = "handler_" + std::to_string(i % 40) + "_" + std::to_string(depth);
      frames.push_back(
          {name, "/srv/app/views_" + std::to_string(depth) + ".py", i + depth, FrameKind::kPython});
    }
    MEMSPY_TRY(id, teller.stack(frames));
    stacks.push_back(id);
  }
  std::uint32_t random = 1;  // a fixed sequence: the size must not vary
  const auto next = [&] { return (random = random * 1664525U + 1013904223U) >> 8U; };
  for (int tick = 1; tick <= ticks; ++tick) {
    const nanoseconds time = seconds(tick) + nanoseconds(next() % 100000);
    SeriesPoint p = point(time, 1, 4096.0 * (50000 + next() % 100));
    using C = SeriesColumn;
    p[C::kPssBytes] = 1024.0 * (190000 + next() % 1000);
    p[C::kUssBytes] = 1024.0 * (180000 + next() % 1000);
    p[C::kSwapBytes] = 0;
    p[C::kVmsBytes] = 4096.0 * (250000 + next() % 10);
    p[C::kOpenFiles] = 20 + next() % 5;
    p[C::kCpuPercent] = (next() % 10000) / 101.0;
    p[C::kMinorFaults] = 100000.0 + tick * 21;
    p[C::kMajorFaults] = 3;
    p[C::kAttributedBytes] = 4096.0 * (tick + next() % 50);
    p[C::kStoppedSeconds] = tick / 997.0;
    MEMSPY_CHECK(sink.on_point(p));
    for (int row = 0; row < rows; ++row) {
      const StackId stack = stacks[next() % stacks.size()];
      MEMSPY_CHECK(
          sink.on_growth(growth(time, 1, 1 + next() % 2, stack, 4096ULL * (1 + next() % 300),
                                4096ULL * (next() % 300), 1 + next() % 5)));
    }
    MEMSPY_CHECK(
        sink.on_unattributed({time, {1}, static_cast<std::int64_t>(next() % 65536) - 32768}));
    MEMSPY_CHECK(sink.on_tick_end(time));
  }
  return sink.finish(sample_summary());
}

}  // namespace memspy::testing

#include "support/collecting_sink.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

namespace memspy::testing {

Result<Unit> CollectingSink::on_header(const RunHeader& h) {
  lines.push_back(fmt::format("header {} {} {} ({}) {} {} [{}] {} {} {} {}", h.memspy_version,
                              h.mode, h.engine, h.engine_reason, h.host, h.kernel,
                              fmt::join(h.command_line, "|"), h.wall_start.count(),
                              h.interval.count(), h.budget_percent, h.subprocesses));
  return Unit{};
}

Result<Unit> CollectingSink::on_process(const ProcessRecord& p) {
  lines.push_back(fmt::format("process {} {} {} {} {} [{}] {} {} {}", p.index.value, p.parent.value,
                              p.identity.pid.value, p.identity.start_ticks, p.name,
                              fmt::join(p.command_line, "|"), p.python_version, p.executable,
                              p.first_seen.count()));
  return Unit{};
}

Result<Unit> CollectingSink::on_thread(const ThreadRecord& t) {
  lines.push_back(
      fmt::format("thread {} {} {} {}", t.index.value, t.process.value, t.tid.value, t.name));
  return Unit{};
}

Result<Unit> CollectingSink::on_frame(FrameId id, const Frame& f) {
  lines.push_back(fmt::format("frame {} {} {} {} {}", id.value, f.function, f.file, f.line,
                              static_cast<int>(f.kind)));
  return Unit{};
}

Result<Unit> CollectingSink::on_stack(StackId id, const StackTable::Node& node) {
  lines.push_back(fmt::format("stack {} {} {}", id.value, node.parent.value, node.frame.value));
  return Unit{};
}

Result<Unit> CollectingSink::on_point(const SeriesPoint& point) {
  std::string text = fmt::format("point {} {}", point.time.count(), point.process.value);
  for (const auto& info : series_columns()) {
    if (const auto& value = point[info.column]) text += fmt::format(" {}={}", info.name, *value);
  }
  lines.push_back(text);
  return Unit{};
}

Result<Unit> CollectingSink::on_growth(const GrowthRecord& g) {
  lines.push_back(fmt::format("growth {} {} {} {} {} {} {}", g.time.count(), g.process.value,
                              g.thread.value, g.stack.value, g.touched_bytes, g.returned_bytes,
                              g.samples));
  return Unit{};
}

Result<Unit> CollectingSink::on_unattributed(const UnattributedRecord& u) {
  lines.push_back(fmt::format("unattributed {} {} {}", u.time.count(), u.process.value, u.bytes));
  return Unit{};
}

Result<Unit> CollectingSink::on_live(const LiveRecord& r) {
  lines.push_back(fmt::format("live {} {} {} {} {} {} {} {} {}", r.time.count(), r.process.value,
                              r.thread.value, r.stack.value, r.bytes, r.standard_error_bytes,
                              r.blocks, r.survived.count(), r.collections));
  return Unit{};
}

Result<Unit> CollectingSink::on_temporary(const TemporaryRecord& r) {
  lines.push_back(fmt::format("temporary {} {} {} {} {}", r.time.count(), r.process.value,
                              r.thread.value, r.stack.value, r.objects));
  return Unit{};
}

Result<Unit> CollectingSink::on_allocation(const AllocationRecord& a) {
  lines.push_back(fmt::format("allocation {} {} {} {} {} {}", a.time.count(), a.process.value,
                              a.thread.value, a.stack.value, a.cpu_time.count(), a.samples));
  return Unit{};
}

Result<Unit> CollectingSink::on_gap(const Gap& g) {
  lines.push_back(fmt::format("gap {} {} {} {} {}", g.time.count(), g.duration.count(),
                              g.process.value, g.reason, g.samples));
  return Unit{};
}

Result<Unit> CollectingSink::on_tick_end(std::chrono::nanoseconds time) {
  lines.push_back(fmt::format("tick {}", time.count()));
  return Unit{};
}

Result<Unit> CollectingSink::finish(const RunSummary& s) {
  std::string text = fmt::format(
      "summary {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}", s.duration.count(), s.samples,
      s.rejected, s.late, s.growth_bytes, s.attributed_bytes, s.unattributed_bytes, s.shrink_bytes,
      s.stopped.count(), s.pause_p50.count(), s.pause_p99.count(), s.pause_max.count(),
      s.rss_start_bytes, s.rss_end_bytes, s.rss_peak_bytes, s.ended_by);
  for (const auto& [name, value] : s.counters) text += fmt::format(" {}={}", name, value);
  lines.push_back(text);
  return Unit{};
}

std::size_t CollectingSink::count(const std::string& word) const {
  return static_cast<std::size_t>(std::count_if(
      lines.begin(), lines.end(), [&](const auto& line) { return line.starts_with(word + " "); }));
}

std::vector<std::string> CollectingSink::data() const {
  std::vector<std::string> out;
  for (const auto& line : lines) {
    if (!line.starts_with("frame ") && !line.starts_with("stack ")) out.push_back(line);
  }
  return out;
}

}  // namespace memspy::testing

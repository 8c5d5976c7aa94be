#include "recording/replay.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include <spdlog/fmt/fmt.h>

#include "recording/code_tables.h"
#include "recording/packed_growth.h"
#include "recording/run_rows.h"

namespace memspy::recording {
namespace {

constexpr std::int64_t kMaxHole = 1 << 16;      // ids that may be missing in a row
constexpr std::uint16_t kMaxDepth = 1U << 14U;  // frames of one stack
constexpr auto kMaxId = std::numeric_limits<std::uint32_t>::max();

std::uint32_t as_id(std::int64_t value) {
  return value < 0 || value > kMaxId ? 0 : static_cast<std::uint32_t>(value);
}
std::uint64_t as_size(std::int64_t value) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, value));
}
std::chrono::nanoseconds as_time(std::int64_t value) { return std::chrono::nanoseconds(value); }

Frame lost(const char* what, std::uint32_t id) {
  return Frame{fmt::format("[lost {} {}]", what, id), "", 0, FrameKind::kMarker};
}

// Sums of a hostile file must wrap, not overflow.
void add_wrapping(std::int64_t& sum, std::uint64_t value) {
  sum = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) + value);
}

}  // namespace

Result<Unit> Replay::define_frames() {
  std::unordered_map<std::int64_t, std::string> files;
  for (TableScan scan(*db_, "files", "path", damage_); scan.next();) {
    files.emplace(scan.id(), scan.row().bytes(1));
  }
  const auto addresses = read_addresses(*db_, damage_);
  for (TableScan scan(*db_, "frames", "function, file, line, kind", damage_); scan.next();) {
    if (scan.id() > static_cast<std::int64_t>(frame_count_) + kMaxHole) {
      damage_.push_back(fmt::format("frames after {} are lost", frame_count_));
      break;
    }
    while (static_cast<std::int64_t>(frame_count_) + 1 < scan.id()) {
      ++frame_count_;
      MEMSPY_CHECK(sink_->on_frame(FrameId{frame_count_}, lost("frame", frame_count_)));
    }
    ++frame_count_;
    const auto& row = scan.row();
    Frame frame;
    frame.function = row.bytes(1);
    if (const auto file = files.find(row.integer(2)); file != files.end())
      frame.file = file->second;
    const std::int64_t line = row.integer(3);
    frame.line = line < 0 || line > std::numeric_limits<std::int32_t>::max()
                     ? 0
                     : static_cast<std::int32_t>(line);
    const std::int64_t kind = row.integer(4);
    frame.kind = kind < 0 || kind > 2 ? FrameKind::kMarker : static_cast<FrameKind>(kind);
    if (const auto code = addresses.find(scan.id());
        code != addresses.end() && frame.kind == FrameKind::kNative)
      frame.code = code->second;
    MEMSPY_CHECK(sink_->on_frame(FrameId{frame_count_}, frame));
  }
  return Unit{};
}

// Ids stay dense, and each lost stack is a stack of its own: growth charged to it is still told.
Result<Unit> Replay::define_lost_stack(std::uint32_t id) {
  ++lost_stacks_;
  ++frame_count_;
  MEMSPY_CHECK(sink_->on_frame(FrameId{frame_count_}, lost("stack", id)));
  depth_.push_back(1);
  return sink_->on_stack(StackId{id}, {kNoStack, FrameId{frame_count_}});
}

Result<Unit> Replay::define_stacks() {
  const std::uint32_t frames = frame_count_;
  for (TableScan scan(*db_, "stacks", "parent, frame", damage_); scan.next();) {
    if (scan.id() > static_cast<std::int64_t>(depth_.size()) + kMaxHole) break;
    while (static_cast<std::int64_t>(depth_.size()) + 1 < scan.id()) {
      MEMSPY_CHECK(define_lost_stack(static_cast<std::uint32_t>(depth_.size()) + 1));
    }
    const auto id = static_cast<std::uint32_t>(scan.id());
    const std::uint32_t parent = as_id(scan.row().integer(1));
    const std::uint32_t frame = as_id(scan.row().integer(2));
    const bool sound = parent < id && frame >= 1 && frame <= frames;
    const std::uint16_t below = sound && parent != 0 ? depth_[parent - 1] : std::uint16_t{0};
    if (!sound || below >= kMaxDepth) {
      MEMSPY_CHECK(define_lost_stack(id));
      continue;
    }
    depth_.push_back(static_cast<std::uint16_t>(below + 1));
    MEMSPY_CHECK(sink_->on_stack(StackId{id}, {StackId{parent}, FrameId{frame}}));
  }
  return Unit{};
}

// Indices are dense in a sound recording; a few may be missing in a damaged one.
bool Replay::known_process(std::int64_t index) {
  const bool known = index >= 0 && index <= max_process_;
  if (!known) ++lost_rows_;
  return known;
}

Result<Unit> Replay::emit_growth(const Statement& row) {
  const auto unpacked = unpack_growth(row.bytes(3), as_time(row.integer(2)));
  if (!unpacked.intact) damage_.push_back(fmt::format("growth of row {} is cut", row.integer(0)));
  for (auto growth : unpacked.records) {
    if (!known_process(growth.process.value)) continue;
    if (growth.stack.value > depth_.size()) {
      growth.stack = kNoStack;
      ++lost_stacks_;
    }
    if (growth.thread.value > max_thread_) growth.thread = {};
    add_wrapping(attributed_, growth.touched_bytes - growth.returned_bytes);
    so_far_.samples += growth.samples;
    MEMSPY_CHECK(sink_->on_growth(growth));
  }
  return Unit{};
}

namespace {

// A record of one stack: the tables of these begin alike.
template <typename Record>
Record owned(const Statement& row) {
  Record record;
  record.time = as_time(row.integer(2));
  record.process.value = as_id(row.integer(3));
  record.thread.value = as_id(row.integer(4));
  record.stack.value = as_id(row.integer(5));
  return record;
}

}  // namespace

Result<Unit> Replay::emit_live(const Statement& row) {
  if (!known_process(row.integer(3))) return Unit{};
  auto live = owned<LiveRecord>(row);
  if (live.stack.value > depth_.size()) live.stack = kNoStack;
  live.bytes = as_size(row.integer(6));
  live.standard_error_bytes = as_size(row.integer(7));
  live.blocks = as_id(row.integer(8));
  live.survived = as_time(row.integer(9));
  live.collections = as_size(row.integer(10));
  return sink_->on_live(live);
}

Result<Unit> Replay::emit_temporary(const Statement& row) {
  if (!known_process(row.integer(3))) return Unit{};
  auto record = owned<TemporaryRecord>(row);
  if (record.stack.value > depth_.size()) record.stack = kNoStack;
  record.objects = as_size(row.integer(6));
  return sink_->on_temporary(record);
}

Result<Unit> Replay::emit_allocation(const Statement& row) {
  if (!known_process(row.integer(3))) return Unit{};
  auto record = owned<AllocationRecord>(row);
  record.cpu_time = as_time(std::max<std::int64_t>(0, row.integer(6)));
  record.samples = as_id(row.integer(7));
  // Without its stack it would pass for time in which nothing was allocated.
  if (record.stack.value > depth_.size()) return ++lost_stacks_, Unit{};
  if (record.thread.value > max_thread_) record.thread = {};
  if (record.stack != kNoStack) so_far_.samples += record.samples;
  return sink_->on_allocation(record);
}

Result<Unit> Replay::emit_point(const Statement& row, const PointColumns& columns) {
  if (!known_process(row.integer(columns.process))) return Unit{};
  SeriesPoint point;
  point.process.value = static_cast<std::uint32_t>(row.integer(columns.process));
  point.time = as_time(row.integer(columns.time));
  for (const auto& [at, column] : columns.values) {
    if (!row.is_null(at)) point[column] = row.real(at);
  }
  const auto take = [&](SeriesColumn column) { return point[column].value_or(0); };
  if (const double bytes = take(SeriesColumn::kRssBytes); bytes > 0) {
    auto& rss = rss_[point.process.value];
    if (!std::exchange(rss.seen, true)) {
      // The first point may come a tick after the begin: what grew until then is on it.
      rss.start = std::max(0.0, bytes - take(SeriesColumn::kAttributedBytes) -
                                    take(SeriesColumn::kUnattributedBytes));
    }
    rss.reconciled = rss.reconciled || point[SeriesColumn::kAttributedBytes].has_value();
    rss.end = bytes;
    rss.peak = std::max(rss.peak, bytes);
  }
  if (const double count = take(SeriesColumn::kRejected); count > 0 && count < 1e18) {
    so_far_.rejected = static_cast<std::uint64_t>(count);
  }
  if (const double stopped = take(SeriesColumn::kStoppedSeconds); stopped > 0 && stopped < 1e9) {
    so_far_.stopped = std::chrono::nanoseconds(static_cast<std::int64_t>(stopped * 1e9));
  }
  return sink_->on_point(point);
}

Replay::Lane Replay::point_lane() {
  // `*` because a recording of another version may have other columns; they go by their names.
  Lane lane{TableScan(*db_, "points", "tick, *", damage_), {}};
  PointColumns columns;
  if (lane.scan.row().valid()) {
    for (int at = 2; at < lane.scan.row().column_count(); ++at) {
      const std::string name = lane.scan.row().column_name(at);
      if (name == "time_ns") columns.time = at;
      if (name == "process") columns.process = at;
      if (const auto known = find_series_column(name)) columns.values.emplace_back(at, *known);
    }
  }
  if (columns.time < 0 || columns.process < 0) {
    lane.emit = [](const Statement&) { return Result<Unit>(Unit{}); };
  } else {
    lane.emit = [this, columns](const Statement& row) { return emit_point(row, columns); };
  }
  return lane;
}

std::vector<Replay::Lane> Replay::lanes() {
  std::vector<Lane> out;
  const auto add = [&](const char* table, const char* columns, auto emit) {
    out.push_back(Lane{TableScan(*db_, table, columns, damage_), emit});
  };
  add("processes",
      "tick, process, parent, pid, start_ticks, name, command_line, python_version, executable, "
      "first_seen_ns",
      [this](const Statement& row) -> Result<Unit> {
        const std::int64_t index = row.integer(2);
        if (index < 1 || index > max_process_ + kMaxHole) return ++lost_rows_, Unit{};
        max_process_ = std::max(max_process_, index);
        ProcessRecord process;
        process.index.value = static_cast<std::uint32_t>(index);
        process.parent.value = as_id(row.integer(3));
        process.identity.pid.value = static_cast<pid_t>(as_id(row.integer(4)) & 0x7fffffffU);
        process.identity.start_ticks = static_cast<std::uint64_t>(row.integer(5));
        process.name = row.bytes(6);
        process.command_line = split_arguments(row.bytes(7));
        process.python_version = row.bytes(8);
        process.executable = row.bytes(9);
        process.first_seen = as_time(row.integer(10));
        return sink_->on_process(process);
      });
  add("threads", "tick, thread, process, tid, name", [this](const Statement& row) -> Result<Unit> {
    const std::int64_t index = row.integer(2);
    if (index < 1 || index > max_thread_ + kMaxHole || !known_process(row.integer(3)))
      return Unit{};
    max_thread_ = std::max(max_thread_, index);
    ThreadRecord thread;
    thread.index.value = static_cast<std::uint32_t>(index);
    thread.process.value = as_id(row.integer(3));
    thread.tid.value = static_cast<pid_t>(as_id(row.integer(4)) & 0x7fffffffU);
    thread.name = row.bytes(5);
    return sink_->on_thread(thread);
  });
  out.push_back(point_lane());
  add("growth", "tick, time_ns, records",
      [this](const Statement& row) -> Result<Unit> { return emit_growth(row); });
  add("unattributed", "tick, time_ns, process, bytes",
      [this](const Statement& row) -> Result<Unit> {
        if (!known_process(row.integer(3))) return Unit{};
        const UnattributedRecord rest{
            as_time(row.integer(2)), {as_id(row.integer(3))}, row.integer(4)};
        add_wrapping(unattributed_[rest.process.value], static_cast<std::uint64_t>(rest.bytes));
        return sink_->on_unattributed(rest);
      });
  add("gaps", "tick, time_ns, duration_ns, process, reason, samples",
      [this](const Statement& row) -> Result<Unit> {
        if (!known_process(row.integer(4))) return Unit{};
        return sink_->on_gap(
            {as_time(row.integer(2)),
             as_time(row.integer(3)),
             {as_id(row.integer(4))},
             row.bytes(5),
             static_cast<std::uint64_t>(std::max<std::int64_t>(0, row.integer(6)))});
      });
  const auto count = [this](const char* of) { return db_->query_integer(of, 0); };
  // From format 2 on; the last column came later.
  if (count(
          "SELECT count(*) FROM sqlite_schema WHERE type='table' AND rootpage>0 AND name='live'") >
      0) {
    const bool collections =
        count("SELECT count(*) FROM pragma_table_info('live') WHERE name='collections'") > 0;
    const std::string columns =
        "tick, time_ns, process, thread, stack, bytes, standard_error_bytes, blocks, survived_ns, ";
    add("live", (columns + (collections ? "collections" : "0")).c_str(),
        [this](const Statement& row) -> Result<Unit> { return emit_live(row); });
  }
  if (count("SELECT count(*) FROM sqlite_schema WHERE name='temporaries'") > 0) {
    add("temporaries", "tick, time_ns, process, thread, stack, objects",
        [this](const Statement& row) -> Result<Unit> { return emit_temporary(row); });
  }
  // From format 3 on.
  if (count("SELECT count(*) FROM sqlite_schema WHERE name='allocation'") > 0) {
    add("allocation", "tick, time_ns, process, thread, stack, cpu_ns, samples",
        [this](const Statement& row) -> Result<Unit> { return emit_allocation(row); });
  }
  // Last: a tick's row closes it.
  add("ticks", "id, time_ns", [this](const Statement& row) -> Result<Unit> {
    so_far_.duration = as_time(row.integer(2));
    return sink_->on_tick_end(so_far_.duration);
  });
  return out;
}

RunSummary Replay::reconstructed() const {
  RunSummary summary = so_far_;
  const auto size = [](double value) {
    return value > 0 && value < 9e18 ? static_cast<std::uint64_t>(value) : 0;
  };
  bool reconciled = !rss_.empty();
  for (const auto& [process, rss] : rss_) {
    summary.rss_start_bytes += size(rss.start);
    summary.rss_end_bytes += size(rss.end);
    summary.rss_peak_bytes += size(rss.peak);
    reconciled = reconciled && rss.reconciled;
  }
  summary.attributed_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, attributed_));
  for (const auto& [process, rest] : unattributed_) {
    if (rest > 0) summary.unattributed_bytes += static_cast<std::uint64_t>(rest);
    if (rest < 0) summary.shrink_bytes += ~static_cast<std::uint64_t>(rest) + 1;
  }
  summary.growth_bytes = summary.attributed_bytes + summary.unattributed_bytes;
  // What was given back of memory from before the run is in no record of its own, only in RSS.
  const std::uint64_t before = summary.rss_start_bytes + summary.growth_bytes;
  if (reconciled && before > summary.rss_end_bytes) {
    summary.shrink_bytes = std::max(summary.shrink_bytes, before - summary.rss_end_bytes);
  }
  summary.ended_by = "not known: the recording has no end";
  return summary;
}

Result<Unit> Replay::run(const RunHeader& header, const std::optional<RunSummary>& summary) {
  MEMSPY_CHECK(sink_->on_header(header));
  MEMSPY_CHECK(define_frames());
  MEMSPY_CHECK(define_stacks());
  auto tables = lanes();
  for (auto& lane : tables) lane.scan.next();
  for (;;) {
    std::optional<std::int64_t> tick;
    for (const auto& lane : tables) {
      if (!lane.scan.valid()) continue;
      const std::int64_t at = lane.scan.row().integer(1);
      tick = std::min(tick.value_or(at), at);
    }
    if (!tick.has_value()) break;
    for (auto& lane : tables) {
      for (; lane.scan.valid() && lane.scan.row().integer(1) <= *tick; lane.scan.next()) {
        MEMSPY_CHECK(lane.emit(lane.scan.row()));
      }
    }
  }
  if (lost_stacks_ > 0) damage_.push_back(fmt::format("{} stacks are lost", lost_stacks_));
  if (lost_rows_ > 0) damage_.push_back(fmt::format("{} rows name unknown processes", lost_rows_));
  return sink_->finish(summary.has_value() ? *summary : reconstructed());
}

}  // namespace memspy::recording

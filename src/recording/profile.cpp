#include "recording/profile.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "recording/recording.h"

namespace memspy::recording {
namespace {

// A hostile file's sums wrap.
void add(CpuSpent& sum, const CpuSpent& more) {
  sum.time = std::chrono::nanoseconds(
      static_cast<std::int64_t>(static_cast<std::uint64_t>(sum.time.count()) +
                                static_cast<std::uint64_t>(more.time.count())));
  sum.samples += more.samples;
}

}  // namespace

Result<Unit> Profile::on_header(const RunHeader& record) {
  header = record;
  timeline.set_interval(record.interval);
  return Unit{};
}

Result<Unit> Profile::on_process(const ProcessRecord& process) {
  const std::size_t at = process.index.value;
  if (at == 0) return make_error(Errc::kCorrupt, "a process without an index");
  if (processes.size() < at) processes.resize(at);
  processes[at - 1] = process;
  return Unit{};
}

Result<Unit> Profile::on_thread(const ThreadRecord& thread) {
  const std::size_t at = thread.index.value;
  if (at == 0) return make_error(Errc::kCorrupt, "a thread without an index");
  if (threads.size() < at) threads.resize(at);
  threads[at - 1] = thread;
  return Unit{};
}

Result<Unit> Profile::on_frame(FrameId id, const Frame& frame) {
  const FrameId got = stacks.intern(frame);
  if (got == id) return Unit{};
  return make_error(Errc::kCorrupt, fmt::format("frame {} came as {}", got.value, id.value));
}

Result<Unit> Profile::on_stack(StackId id, const StackTable::Node& node) {
  const bool known = node.frame.value >= 1 && node.frame.value <= stacks.frame_count() &&
                     node.parent.value <= stacks.stack_count();
  const StackId got = known ? stacks.intern(node.parent, node.frame) : kNoStack;
  if (got == id) return Unit{};
  return make_error(Errc::kCorrupt, fmt::format("stack {} came as {}", got.value, id.value));
}

Result<Unit> Profile::on_point(const SeriesPoint& point) {
  if (!keep_points || (window.to.has_value() && point.time > *window.to)) return Unit{};
  if (window.from.has_value() && point.time <= *window.from) {
    // Where the window starts from: the last point before it, of each process.
    std::erase_if(points, [&](const SeriesPoint& p) { return p.process == point.process; });
  }
  points.push_back(point);
  return Unit{};
}

Result<Unit> Profile::on_growth(const GrowthRecord& record) {
  if (!window.contains(record.time)) return Unit{};
  if (record.stack.value > stacks.stack_count()) {
    return make_error(Errc::kCorrupt,
                      fmt::format("growth of the unknown stack {}", record.stack.value));
  }
  auto& value = growth[{record.process, record.thread, record.stack}];
  value.touched_bytes += record.touched_bytes;
  value.returned_bytes += record.returned_bytes;
  value.samples += record.samples;
  if (keep_timeline && measure() == Measure::kBytes) timeline.add(record);
  return Unit{};
}

Result<Unit> Profile::on_unattributed(const UnattributedRecord& rest) {
  if (!window.contains(rest.time)) return Unit{};
  // Unsigned: a hostile file's sums wrap.
  auto& sum = unattributed[rest.process];
  sum = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) +
                                  static_cast<std::uint64_t>(rest.bytes));
  if (keep_timeline && measure() == Measure::kBytes) timeline.add(rest);
  return Unit{};
}

Result<Unit> Profile::on_live(const LiveRecord& record) {
  live.push_back(record);
  return Unit{};
}

Result<Unit> Profile::on_temporary(const TemporaryRecord& record) {
  temporaries.push_back(record);
  return Unit{};
}

Result<Unit> Profile::on_allocation(const AllocationRecord& record) {
  if (!window.contains(record.time)) return Unit{};
  if (record.stack.value > stacks.stack_count()) {
    return make_error(Errc::kCorrupt,
                      fmt::format("CPU time of the unknown stack {}", record.stack.value));
  }
  auto& spent = allocation[{record.process, record.thread, record.stack}];
  add(spent, {record.cpu_time, record.samples});
  if (keep_timeline && measure() == Measure::kMicroseconds) timeline.add(record);
  return Unit{};
}

Result<Unit> Profile::on_gap(const Gap& gap) {
  if (window.contains(gap.time)) gaps.push_back(gap);
  return Unit{};
}

Result<Unit> Profile::on_tick_end(std::chrono::nanoseconds time) {
  if (window.contains(time)) last_time = std::max(last_time, time);
  if (window.from.has_value() && time <= *window.from) begin_time = std::max(begin_time, time);
  return Unit{};
}

Result<Unit> Profile::finish(const RunSummary& record) {
  summary = record;
  return Unit{};
}

Result<Profile> Profile::load(const Reader& reader, TimeWindow window, Timeline timeline) {
  Profile profile;
  profile.window = window;
  profile.keep_timeline = timeline == Timeline::kKeep;
  MEMSPY_CHECK(reader.replay(profile));
  profile.names = reader.names();
  profile.note = reader.note();
  return profile;
}

ProfileTotals Profile::totals() const {
  ProfileTotals totals;
  const auto give_back = [&](std::int64_t bytes) {
    totals.shrink_bytes += ~static_cast<std::uint64_t>(bytes) + 1;
  };
  for (const auto& [key, value] : growth) {
    totals.touched_bytes += value.touched_bytes;
    totals.samples += value.samples;
    const std::int64_t net = value.net_bytes();
    if (net < 0) {
      give_back(net);
    } else if (key.stack == kNoStack) {
      totals.unattributed_bytes += static_cast<std::uint64_t>(net);
    } else {
      totals.attributed_bytes += static_cast<std::uint64_t>(net);
    }
  }
  for (const auto& [process, bytes] : unattributed) {
    if (bytes < 0) {
      give_back(bytes);
    } else {
      totals.unattributed_bytes += static_cast<std::uint64_t>(bytes);
    }
  }
  return totals;
}

Measure Profile::measure() const {
  return header.mode == "alloc" ? Measure::kMicroseconds : Measure::kBytes;
}

CpuSpent Profile::allocating() const {
  CpuSpent sum;
  for (const auto& [key, spent] : allocation)
    if (key.stack != kNoStack) add(sum, spent);
  return sum;
}

CpuSpent Profile::not_allocating() const {
  CpuSpent sum;
  for (const auto& [key, spent] : allocation)
    if (key.stack == kNoStack) add(sum, spent);
  return sum;
}

const ProcessRecord* Profile::find_process(ProcessIndex index) const {
  if (index.value == 0 || index.value > processes.size()) return nullptr;
  const auto& process = processes[index.value - 1];
  return process.index == index ? &process : nullptr;
}

const ThreadRecord* Profile::find_thread(ThreadIndex index) const {
  if (index.value == 0 || index.value > threads.size()) return nullptr;
  const auto& thread = threads[index.value - 1];
  return thread.index == index ? &thread : nullptr;
}

}  // namespace memspy::recording

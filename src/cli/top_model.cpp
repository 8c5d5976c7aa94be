#include "cli/top_model.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <set>

#include "base/duration.h"
#include "cli/condition.h"
#include "recording/shaped.h"

namespace memspy::cli {
namespace {

using C = SeriesColumn;

constexpr std::chrono::seconds kNowWindow{5};  // smooths a rate that a person reads

// Figures that processes have each for themselves, and that add up.
bool adds_up(SeriesColumn column) { return column == C::kRssBytes || column == C::kPssBytes; }

bool before(const TopRow& a, const TopRow& b, TopSort sort) {
  switch (sort) {
    case TopSort::kNow:
      return a.now_per_second > b.now_per_second;
    case TopSort::kOwn:
      return a.own > b.own;
    case TopSort::kCumulative:
      return a.cumulative > b.cumulative;
    case TopSort::kSamples:
      return a.samples > b.samples;
    case TopSort::kFunction:
      return a.function < b.function;
    case TopSort::kFile:
      return std::tie(a.file, a.line) < std::tie(b.file, b.line);
  }
  return false;
}

bool passes(const std::string& function, const std::string& file, int line,
            const std::string& filter) {
  if (filter.empty()) return true;
  return fmt::format("{} ({}:{})", function, file, line).find(filter) != std::string::npos;
}

}  // namespace

Result<Unit> TopModel::on_header(const RunHeader& header) { return profile_.on_header(header); }
Result<Unit> TopModel::on_process(const ProcessRecord& record) {
  return profile_.on_process(record);
}
Result<Unit> TopModel::on_thread(const ThreadRecord& record) { return profile_.on_thread(record); }
Result<Unit> TopModel::on_frame(FrameId id, const Frame& frame) {
  return profile_.on_frame(id, frame);
}
Result<Unit> TopModel::on_stack(StackId id, const StackTable::Node& node) {
  return profile_.on_stack(id, node);
}
Result<Unit> TopModel::on_unattributed(const UnattributedRecord& rest) {
  return profile_.on_unattributed(rest);
}
Result<Unit> TopModel::on_gap(const Gap& /*gap*/) { return Unit{}; }  // unbounded in a long run
Result<Unit> TopModel::finish(const RunSummary& summary) { return profile_.finish(summary); }

Result<Unit> TopModel::on_point(const SeriesPoint& point) {
  now_ = std::max(now_, point.time);
  SeriesPoint& last = last_[point.process];
  last.process = point.process;
  last.time = point.time;
  for (std::size_t i = 0; i < kSeriesColumnCount; ++i)
    if (point.values[i])
      last.values[i] = point.values[i];  // dear figures come seldom: keep the last
  if (const auto rss = point[SeriesColumn::kRssBytes])
    note(rss_of_[point.process], point.time, *rss);
  note_rss(point.time);
  return Unit{};
}

// Who has no point at this tick has ended; the figures of the last one stay.
void TopModel::forget_ended(std::chrono::nanoseconds tick) {
  const auto ended = [tick](const auto& entry) { return entry.second.time < tick; };
  if (std::all_of(last_.begin(), last_.end(), ended)) return;
  if (std::erase_if(last_, ended) == 0) return;
  std::erase_if(rss_of_, [this](const auto& entry) { return !last_.contains(entry.first); });
  note_rss(tick);
}

// One entry for a time, whatever the number of processes.
void TopModel::note_rss(std::chrono::nanoseconds time) {
  const auto rss = figure(SeriesColumn::kRssBytes);
  if (!rss) return;
  peak_rss_ = std::max(peak_rss_, *rss);
  note(rss_, time, *rss);
}

void TopModel::note(Course& course, std::chrono::nanoseconds time, double bytes) {
  if (!course.empty() && course.back().first == time) {
    course.back().second = bytes;
  } else {
    course.emplace_back(time, bytes);
  }
  while (course.size() > kHistory) course.pop_front();
}

Result<Unit> TopModel::on_growth(const GrowthRecord& growth) {
  const auto bytes = static_cast<std::int64_t>(growth.touched_bytes) -
                     static_cast<std::int64_t>(growth.returned_bytes);
  recent_.push_back(
      {growth.time, {growth.process, growth.thread, growth.stack}, static_cast<double>(bytes)});
  return profile_.on_growth(growth);
}

Result<Unit> TopModel::on_allocation(const AllocationRecord& record) {
  if (record.stack != kNoStack)
    recent_.push_back({record.time,
                       {record.process, record.thread, record.stack},
                       std::chrono::duration<double, std::micro>(record.cpu_time).count()});
  return profile_.on_allocation(record);
}

Result<Unit> TopModel::on_tick_end(std::chrono::nanoseconds time) {
  now_ = std::max(now_, time);
  forget_ended(time);
  while (!recent_.empty() && recent_.front().time + kNowWindow <= now_) recent_.pop_front();
  return profile_.on_tick_end(time);
}

void TopModel::reset_baseline() {
  baseline_.clear();
  each_run_charge([&](const Key& key, const Charge& charge) { baseline_.emplace(key, charge); });
  baseline_unattributed_ = 0;
  baseline_unattributed_ = unattributed_bytes();
  baseline_time_ = now_;
  recent_.clear();
}

void TopModel::each_run_charge(const VisitCharge& visit) const {
  if (!tells_time()) {
    for (const auto& [key, value] : profile_.growth) visit(key, {value.net_bytes(), value.samples});
    return;
  }
  for (const auto& [key, spent] : profile_.allocation) {
    const auto time = std::chrono::duration_cast<std::chrono::microseconds>(spent.time);
    visit(key, {time.count(), spent.samples});
  }
}

void TopModel::each_charge(const VisitCharge& visit) const {
  each_run_charge([&](const Key& key, const Charge& charge) {
    const auto base = baseline_.find(key);
    if (base == baseline_.end()) return visit(key, charge);
    visit(key, {charge.amount - base->second.amount, charge.samples - base->second.samples});
  });
}

std::int64_t TopModel::unattributed_bytes() const {
  if (tells_time()) return 0;
  std::int64_t sum = -baseline_unattributed_;
  for (const auto& [process, bytes] : profile_.unattributed) sum += bytes;
  each_charge([&](const Key& key, const Charge& charge) {
    if (key.stack == kNoStack) sum += charge.amount;
  });
  return sum;
}

CpuTime TopModel::cpu_time() const {
  CpuTime time;
  if (!tells_time()) return time;
  each_charge([&](const Key& key, const Charge& charge) {
    const std::chrono::microseconds spent(charge.amount);
    time.user += spent;
    if (key.stack != kNoStack) time.allocating += spent;
  });
  return time;
}

std::map<TopModel::Key, double> TopModel::now_rates() const {
  std::map<Key, double> rates;
  const auto window = std::min<std::chrono::nanoseconds>(kNowWindow, now_ - baseline_time_);
  const double seconds = std::max(to_seconds(window), 0.1);
  for (const Recent& record : recent_) rates[record.key] += record.amount / seconds;
  return rates;
}

TopRow& TopModel::row_of(const Frame& frame, bool by_line, Rows& table) {
  std::string name = frame.function;
  name += '\0';
  name += frame.file;
  TopRow& row = table[{std::move(name), by_line ? frame.line : 0}];
  if (row.function.empty()) {
    row.function = frame.function;
    row.file = frame.file;
    row.module = frame.code.module;
    row.line = by_line ? frame.line : 0;
  }
  return row;
}

const Frame& TopModel::owner_of(StackId stack, bool past_native) const {
  const StackTable& stacks = profile_.stacks;
  for (StackId id = stack; past_native && id != kNoStack; id = stacks.node(id).parent) {
    const Frame& frame = stacks.frame(stacks.node(id).frame);
    if (frame.kind != FrameKind::kNative) return frame;
  }
  return stacks.frame(stacks.node(stack).frame);  // the innermost one's
}

void TopModel::charge(StackId stack, const Charge& charge, double rate, const TopQuery& query,
                      Rows& table) const {
  std::set<TopRow*> seen;  // a recursive function counts once
  for (const FrameId id : profile_.stacks.frames_of(stack)) {
    TopRow& row = row_of(profile_.stacks.frame(id), query.by_line, table);
    if (seen.insert(&row).second) row.cumulative += charge.amount;
  }
  TopRow& owner = row_of(owner_of(stack, query.past_native), query.by_line, table);
  owner.own += charge.amount;
  owner.samples += charge.samples;
  owner.now_per_second += rate;
}

std::vector<TopRow> TopModel::rows(const TopQuery& query) const {
  Rows table;
  const auto rates = now_rates();
  each_charge([&](const Key& key, const Charge& charged) {
    if (key.stack == kNoStack || !matches(key, query)) return;
    const auto rate = rates.find(key);
    if (charged.amount == 0 && charged.samples == 0 && rate == rates.end()) return;
    charge(key.stack, charged, rate != rates.end() ? rate->second : 0, query, table);
  });
  if (const std::int64_t rest = query.thread ? 0 : unattributed_bytes(); rest != 0) {
    TopRow& row = table[{recording::kUnattributed, 0}];
    row.function = recording::kUnattributed;
    row.own = row.cumulative = rest;
  }
  double total = 0;
  for (const auto& [key, row] : table)
    total += static_cast<double>(std::max<std::int64_t>(row.own, 0));
  std::vector<TopRow> rows;
  for (auto& [key, row] : table) {
    if (!passes(row.function, row.file, row.line, query.filter)) continue;
    row.percent = total > 0 ? 100.0 * static_cast<double>(row.own) / total : 0;
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const TopRow& a, const TopRow& b) {
    if (before(a, b, query.sort)) return true;
    if (before(b, a, query.sort)) return false;
    return a.own > b.own;
  });
  return rows;
}

std::optional<TopRow> TopModel::ends_in(const TopRow& row, bool by_line) const {
  Rows table;
  each_charge([&](const Key& key, const Charge& charged) {
    if (key.stack == kNoStack) return;
    const Frame& owner = owner_of(key.stack, /*past_native=*/true);
    const Frame& end = profile_.stacks.frame(profile_.stacks.node(key.stack).frame);
    const bool of_row = owner.function == row.function && owner.file == row.file &&
                        (!by_line || owner.line == row.line);
    if (!of_row || end.kind != FrameKind::kNative || owner.kind == FrameKind::kNative) return;
    TopRow& ending = row_of(end, /*by_line=*/false, table);
    ending.own += charged.amount;
    ending.samples += charged.samples;
  });
  std::optional<TopRow> most;
  for (const auto& [key, ending] : table)
    if (ending.own > (most ? most->own : 0)) most = ending;
  return most;
}

bool TopModel::stack_passes(StackId stack, const std::string& filter) const {
  const auto frames = profile_.stacks.frames_of(stack);
  return std::any_of(frames.begin(), frames.end(), [&](FrameId id) {
    const Frame& frame = profile_.stacks.frame(id);
    return passes(frame.function, frame.file, frame.line, filter);
  });
}

std::vector<Frame> TopModel::hottest_stack(const TopQuery& query) const {
  std::map<StackId, double> sums;  // of all threads: a server may have one for each request
  const auto add = [&](const Key& key, double value) {
    if (key.stack != kNoStack && matches(key, query)) sums[key.stack] += value;
  };
  const auto find_hottest = [&] {
    StackId hottest = kNoStack;
    double most = 0;
    for (const auto& [stack, value] : sums) {
      if (value <= most || !stack_passes(stack, query.filter)) continue;
      most = value;
      hottest = stack;
    }
    return hottest;
  };
  for (const auto& [key, rate] : now_rates()) add(key, rate);
  StackId hottest = find_hottest();
  if (hottest == kNoStack) {
    each_charge([&](const Key& key, const Charge& charged) {
      add(key, static_cast<double>(charged.amount));
    });
    hottest = find_hottest();
  }
  std::vector<Frame> frames;
  for (const FrameId id : profile_.stacks.frames_of(hottest))
    frames.push_back(profile_.stacks.frame(id));
  std::reverse(frames.begin(), frames.end());
  return frames;
}

std::optional<double> TopModel::growth_per_minute() const { return per_minute(rss_); }

std::optional<double> TopModel::per_minute(const Course& course) {
  if (course.size() < 2) return std::nullopt;
  const auto& [end, end_bytes] = course.back();
  auto from = course.begin();
  while (from + 1 != course.end() && end - from->first > kRateWindow) ++from;
  const double seconds = to_seconds(end - from->first);
  if (seconds <= 0) return std::nullopt;
  return (end_bytes - from->second) / seconds * 60;
}

std::optional<std::chrono::seconds> TopModel::time_to_limit() const {
  const auto rate = growth_per_minute();
  const auto limit = figure(SeriesColumn::kCgroupLimitBytes);
  const auto usage = figure(SeriesColumn::kCgroupUsageBytes);
  if (!rate || *rate < 64 * 1024 || !limit || !usage || *limit <= *usage) return std::nullopt;
  return std::chrono::seconds(static_cast<std::int64_t>((*limit - *usage) / *rate * 60));
}

std::vector<double> TopModel::rss_history() const {
  std::vector<double> history;
  history.reserve(rss_.size());
  for (const auto& [time, bytes] : rss_) history.push_back(bytes);
  return history;
}

std::optional<double> TopModel::figure(SeriesColumn column) const {
  if (last_.empty()) return std::nullopt;
  if (column == SeriesColumn::kPeakRssBytes && last_.size() > 1) return peak_rss_;
  if (!adds_up(column)) return last_.begin()->second[column];
  std::optional<double> sum;
  for (const auto& [process, point] : last_)
    if (point[column]) sum = sum.value_or(0) + *point[column];
  return sum;
}

}  // namespace memspy::cli

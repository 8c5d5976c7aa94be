// The expressions of --when and --fail-on: `rss>2GiB`, `growth>50MiB/min`, `growth>100MiB`; where
// snapshots are compared `heap.bytes>1GiB` and `heap.objects>5e6` too, and where recordings of mode
// alloc are `allocating>30%` and `allocating.change>5%`.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "memspy/result.h"

namespace memspy::cli {

struct Condition {
  enum class Metric { kRss, kGrowth, kHeapBytes, kHeapObjects, kAllocating, kAllocatingChange };
  Metric metric = Metric::kRss;
  bool above = true;  // > and >=; else < and <=
  bool or_equal = false;
  double limit = 0;  // bytes; of kHeapObjects objects; of time a share, from 0 to 1
  std::optional<double> per_seconds;  // growth per this time; absent: growth since the start
  std::string text;                   // as typed
};

// What a condition is asked of. A process that is being sampled does not show its heap.
enum class ConditionUse { kProcess, kComparison };

Result<Condition> parse_condition(std::string_view text, ConditionUse use = ConditionUse::kProcess);
bool holds_for(const Condition& condition, double value);

// A rate over less than this says nothing.
inline constexpr std::chrono::seconds kShortestRate{10};
// What a rate is taken over, here and on the screen of top.
inline constexpr std::chrono::seconds kRateWindow{60};

// Watches one process' RSS for a condition. A rate is taken over the last minute; the first ten
// seconds say nothing about a rate yet.
class ConditionWatch {
 public:
  explicit ConditionWatch(Condition condition) : condition_(std::move(condition)) {}
  // `time` since the start, ascending. True while the condition holds.
  bool update(std::chrono::nanoseconds time, double rss_bytes);
  const Condition& condition() const { return condition_; }

 private:
  std::optional<double> measure(std::chrono::nanoseconds time, double rss_bytes) const;

  Condition condition_;
  std::optional<double> first_rss_;
  std::deque<std::pair<std::chrono::nanoseconds, double>> window_;
};

}  // namespace memspy::cli

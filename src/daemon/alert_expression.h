// When an alert is due, as a person writes it:
//
//   rss > 500MiB                      a size of rss, pss, uss, swap, heap.used
//   heap.objects growth > 1e6/min     blocks of Python's own heap, and how fast there are more
//   rss > 80% of limit for 1m         a share of the control group's limit
//   cgroup > 80% of limit             what all processes of that group have together
//   growth > 50MiB/min for 5m         how fast RSS grows (heap.used growth: Python's own heap)
//   limit in < 15m                    at this rate the limit is reached within
//   threads > 500    open_files > 900
//
// `for`: it has to hold that long. What is not known (no limit, no rate yet) does not hold.
//
// Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "memspy/result.h"

namespace memspy::daemon {

// What is known of a target at a tick. Bytes, bytes a minute, counts.
struct AlertFigures {
  std::optional<double> rss, pss, uss, swap, heap_used, heap_objects, threads, open_files;
  std::optional<double> growth_per_minute, heap_growth_per_minute, objects_growth_per_minute;
  std::optional<double> limit;  // of the control group
  std::optional<double> usage;  // of the same group, without file cache that it would drop
  std::optional<double> usage_growth_per_minute;
};

struct AlertExpression {
  enum class Metric {
    kRss,
    kPss,
    kUss,
    kSwap,
    kCgroup,
    kHeapUsed,
    kHeapObjects,
    kThreads,
    kOpenFiles,
    kLimitIn
  };
  enum class Form { kValue, kShareOfLimit, kRate };
  Metric metric = Metric::kRss;
  Form form = Form::kValue;
  bool above = true;  // > and >=; else < and <=
  bool or_equal = false;
  double bound = 0;  // bytes, a count, a share (0.8), bytes a minute, or seconds until the limit
  std::chrono::nanoseconds hold{};
  std::string text;  // as written
};

// kUsage, with what was expected.
Result<AlertExpression> parse_alert(std::string_view text);

// Until the control group is at its limit, as it grows now; where that is not known yet, as RSS
// does. nullopt: it has no limit, or does not grow.
std::optional<double> seconds_to_limit(const AlertFigures& figures);
// In the unit of `bound`; nullopt: not known.
std::optional<double> measure(const AlertExpression& expression, const AlertFigures& figures);
// nullopt: not known.
std::optional<bool> holds(const AlertExpression& expression, const AlertFigures& figures);

}  // namespace memspy::daemon

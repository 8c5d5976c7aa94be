// What the daemon and its tracers say to one another: a JSON object per line, the order on the
// tracer's standard input, its news on its standard output. The end of the input ends the tracer,
// so that none outlives a daemon that was killed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "memspy/process.h"
#include "memspy/result.h"

namespace memspy::daemon {

struct TracerOrder {
  ProcessIdentity target;
  std::string folder;  // for segments; exists
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  std::chrono::nanoseconds segment = std::chrono::minutes(5);
  std::uint64_t segment_bytes = 8U << 20;
  double stopped_percent = 1;
};
std::string order_line(const TracerOrder& order);
Result<TracerOrder> parse_order(const std::string& line);

// Figures are since the start of the tracer; absent: not known (yet).
struct TracerNews {
  enum class Kind { kStarted, kStatus, kEnded, kRefused };
  Kind kind = Kind::kStatus;
  std::string engine, reason;  // started
  std::string message;         // ended: how; refused: why
  std::string trouble;         // status: why nothing is written; "" when it is
  std::optional<double> samples, rejected, stopped_seconds;
  std::optional<double> attributed_bytes, unattributed_bytes;
  std::optional<double> heap_used_bytes, heap_free_bytes, heap_arena_bytes, heap_blocks;
  std::optional<double> collections[3];
};
std::string news_line(const TracerNews& news);
Result<TracerNews> parse_news(const std::string& line);

}  // namespace memspy::daemon

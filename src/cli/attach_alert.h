// `attach --alert`: the classic use, one process with a threshold. Says when the condition holds
// and when no more, and at the end what RSS was: now, at its peak, on average.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/json_text.h"
#include "cli/top_model.h"
#include "daemon/alert_expression.h"
#include "daemon/alert_state.h"
#include "daemon/rate_window.h"

namespace CLI {
class App;
}

namespace memspy::cli {

struct AttachAlertOptions {
  std::optional<daemon::AlertExpression> alert;
  std::optional<std::chrono::nanoseconds> report_interval;  // between status lines
};
void add_attach_alert(CLI::App& app, AttachAlertOptions& options);

class AttachAlert {
 public:
  explicit AttachAlert(const AttachAlertOptions& options);

  // At each tick, ascending. "firing" or "resolved" when that has changed; "" else.
  std::string update(std::chrono::nanoseconds time, const TopModel& model);
  // Whether a status line is due at this tick.
  bool report_due(std::chrono::nanoseconds time);

  // "ALERT rss > 500MiB: firing at RSS 512 MiB"
  std::string text(const std::string& state) const;
  Json json(const std::string& state) const;  // its members of memspy.attach/1
  // "RSS 512 MiB, peak 530 MiB, average 488 MiB of 60 readings; rss > 500MiB fired once"; ""
  // without an alert.
  std::string summary() const;
  Json summary_json() const;

 private:
  AttachAlertOptions options_;
  std::optional<daemon::AlertState> state_;
  daemon::RateWindow heap_, objects_, group_;
  std::chrono::nanoseconds next_report_{};
  std::optional<double> value_;
  double last_bytes_ = 0, peak_bytes_ = 0, sum_bytes_ = 0;
  std::uint64_t readings_ = 0, fired_ = 0;
};

}  // namespace memspy::cli

// From figures to somebody who is told: keeps the alerts' book at each tick, writes their lines,
// sends them on, and has evidence gathered while the target's tracer stands back.
//
// One thread, that of the loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/alert_book.h"
#include "daemon/alert_history.h"
#include "daemon/evidence.h"
#include "daemon/outbox.h"
#include "daemon/watchlist.h"

namespace memspy::daemon {

class Alarm {
 public:
  using Log = std::function<void(const std::string&)>;
  // `program`: memspy, without a verb.
  static Result<std::unique_ptr<Alarm>> open(const Config& config, std::vector<std::string> program,
                                             Log log);

  // kUsage: an alert makes no sense; the old ones stay.
  Result<Unit> set_config(const Config& config, const DaemonStatus& last,
                          std::chrono::nanoseconds wall);
  // After the figures of a tick, before its tracers.
  void update(Watchlist& targets, const DaemonStatus& status, SteadyTime now,
              std::chrono::nanoseconds wall);
  // Of targets that have ended: whether the OOM killer was at work.
  void note_gone(const std::vector<GoneTarget>& gone, const DaemonStatus& last,
                 std::chrono::nanoseconds wall);
  // Of targets that no rule is about any more.
  void note_let_go(const std::vector<std::shared_ptr<const TargetFacts>>& released,
                   const DaemonStatus& last, std::chrono::nanoseconds wall);
  const AlertBook& book() const { return book_; }
  std::uint64_t evidence_bytes() const { return evidence_->bytes(); }
  Outbox::Figures deliveries() const { return outbox_->figures(); }
  // Any thread.
  const AlertHistory& history() const { return history_; }

 private:
  Alarm(Log log) : log_(std::move(log)) {}  // NOLINT(google-explicit-constructor)
  void tell(const AlertEvent& event);
  void tell_oom_kill(const GoneTarget& target, const TargetStatus& status,
                     std::chrono::nanoseconds wall);
  void look_back(SteadyTime now, std::chrono::nanoseconds wall);
  void give_listeners(AlertConfig& alert, const std::string& service) const;
  void send_on(const AlertEvent& event);
  void want_evidence(AlertEvent& event, bool alive);
  void order_evidence(Watchlist& targets);

  Log log_;
  Config config_;
  AlertBook book_;
  AlertHistory history_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<Evidence> evidence_;
  std::vector<EvidenceOrder> wanted_;  // until the tracer of the target has ended
  std::optional<SteadyTime> look_back_at_;
  bool looked_back_ = false;
};

}  // namespace memspy::daemon

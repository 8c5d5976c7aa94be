#include "sampler/process_window.h"

#include <algorithm>

#include "base/duration.h"
#include "sampler/proc_page_tables.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using C = SeriesColumn;

constexpr auto kLongestAuditPause = 30s;

}  // namespace

ProcessWindow::ProcessWindow(const procfs::ProcDir& proc, ProcessRecord record, double share)
    : proc_(proc),
      record_(std::move(record)),
      share_(share),
      tables_(open_page_tables(proc, record_.identity.pid)),
      ledger_(*tables_),
      series_(proc, record_.identity.pid, share) {}

void ProcessWindow::refresh_map() {
  if (!map_stale_) return;
  if (auto map = proc_.maps(record_.identity.pid); map.has_value()) map_ = std::move(map).value();
  map_stale_ = false;
}

void ProcessWindow::take_baseline() {
  map_stale_ = true;
  refresh_map();
  ledger_.take_baseline(map_);
  has_baseline_ = true;
}

void ProcessWindow::begin(std::uint64_t rss_bytes, bool copied) {
  began_ = true;
  growth_.rss_begin_bytes = growth_.rss_end_bytes = rss_bytes;
  growth_.rss_peak_bytes = std::max(growth_.rss_peak_bytes, rss_bytes);
  if (copied) ledger_.note_fork();
}

void ProcessWindow::add(const FaultSample& sample) {
  refresh_map();
  ledger_.touch({sample.thread, sample.stack}, sample.address, sample.faults, map_);
}

void ProcessWindow::await(const FaultsAwaited& faults) {
  const auto it = awaited_.try_emplace(faults.chunk).first;
  it->second += faults.more;
  if (it->second == 0) awaited_.erase(it);
}

void ProcessWindow::end(std::uint64_t rss_bytes, End how) {
  end_ = how;
  if (rss_bytes != 0) rss_at_end_ = rss_bytes;
}

void ProcessWindow::lose() { lost_ = true; }

std::uint64_t ProcessWindow::attributed_now() const {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(ledger_.net_pages(), 0)) * kPageBytes;
}

// RSS at the end of a memory that nobody could ask any more (exec): what it was last, and what was
// seen to be touched since.
std::uint64_t ProcessWindow::rss_when_lost() const {
  const std::uint64_t known = attributed_now();
  return growth_.rss_end_bytes + known - std::min(known, growth_.attributed_bytes);
}

// It has given back memory on its way out.
bool ProcessWindow::cleared_up() const {
  return end_ != End::kGoesOn && rss_at_end_ && *rss_at_end_ < growth_.rss_end_bytes;
}

bool ProcessWindow::worth_a_look() const {
  if (lost_ || cleared_up()) return false;
  if (end_ != End::kToldToo || !rss_at_end_) return true;
  const auto now = proc_.statm(record_.identity.pid);
  return now.has_value() && now->rss_bytes() >= *rss_at_end_;
}

// What a tick that has seen so much goes by.
std::uint64_t ProcessWindow::rss_at(std::uint64_t seen) const {
  if (cleared_up()) return rss_when_lost();
  const std::uint64_t at_end = rss_at_end_.value_or(seen);
  return end_ == End::kToldToo ? std::max(at_end, rss_when_lost()) : at_end;
}

void ProcessWindow::reconcile(std::uint64_t rss_bytes,
                              std::optional<PageLedger::Settling> settling) {
  growth_.rss_end_bytes = rss_bytes;
  growth_.rss_peak_bytes = std::max(growth_.rss_peak_bytes, rss_bytes);
  const auto change =
      static_cast<std::int64_t>(rss_bytes) - static_cast<std::int64_t>(growth_.rss_begin_bytes);
  const auto shrink_now = [this] {
    return static_cast<std::int64_t>(ledger_.shrink_pages() * kPageBytes);
  };
  if (settling) {
    ledger_.settle((change + shrink_now()) / static_cast<std::int64_t>(kPageBytes), awaited_, map_,
                   *settling);
  }
  const std::int64_t shrink = shrink_now();
  const auto attributed = static_cast<std::int64_t>(attributed_now());
  const std::int64_t rest = change + shrink - attributed;
  growth_.attributed_bytes = static_cast<std::uint64_t>(attributed);
  growth_.unattributed_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(rest, 0));
  // More explained than grew: memory from before the window went, unseen.
  growth_.shrink_bytes = static_cast<std::uint64_t>(
      std::max<std::int64_t>(attributed + std::max<std::int64_t>(rest, 0) - change, 0));
}

// True when every page was looked at.
bool ProcessWindow::look(SteadyTime now, bool last) {
  map_stale_ = true;
  if (!last && now < next_audit_) {
    ledger_.check_touched();
    return false;
  }
  const auto begin = std::chrono::steady_clock::now();
  refresh_map();
  const bool audited = began_ && ledger_.audit(map_);
  const auto price = std::chrono::steady_clock::now() - begin;
  const auto pause = earned_by(price, share_);
  next_audit_ = now + std::min<std::chrono::nanoseconds>(pause, kLongestAuditPause);
  return audited;
}

ProcessWindow::Tick ProcessWindow::tick(SteadyTime now, bool last) {
  Tick result;
  if (closed_) return result;
  const bool audited = !worth_a_look() || look(now, last);
  std::uint64_t rss = lost_ ? rss_when_lost() : growth_.rss_end_bytes;
  if (!lost_) {
    result.point.emplace();
    result.point->process = record_.index;
    series_.collect(*result.point, now);
    // None at all: it is on its way out, and what it had last is what counts.
    if (const auto seen = (*result.point)[C::kRssBytes]; seen && *seen > 0)
      rss = static_cast<std::uint64_t>(*seen);
  }
  std::optional<PageLedger::Settling> settling;
  const bool closing = last || lost_;
  if (audited) settling = closing ? PageLedger::Settling::kLast : PageLedger::Settling::kGoesOn;
  if (began_) reconcile(rss_at(rss), settling);
  const auto signed_bytes = [](std::uint64_t bytes) { return static_cast<std::int64_t>(bytes); };
  const std::int64_t rest =
      signed_bytes(growth_.rss_end_bytes) - signed_bytes(growth_.rss_begin_bytes) +
      signed_bytes(growth_.shrink_bytes) - signed_bytes(growth_.attributed_bytes);
  result.unattributed_change_bytes = rest - unattributed_bytes_;
  unattributed_bytes_ = rest;
  result.growth = ledger_.drain();
  if (result.point) {
    (*result.point)[C::kAttributedBytes] = static_cast<double>(growth_.attributed_bytes);
    (*result.point)[C::kUnattributedBytes] = static_cast<double>(growth_.unattributed_bytes);
  }
  closed_ = closing;
  return result;
}

}  // namespace memspy::sampler

#include "daemon/tracer_slot.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kFirstRestartPause = 2s;  // after a failure
constexpr auto kLongestRestartPause = 10min;
constexpr auto kTracerMemoryPause = 5s;  // its page tables are walked for it
constexpr auto kGoodRun = 1min;          // a tracer that ran so long has not failed at once

std::optional<double> sum(const std::optional<double>& a, const std::optional<double>& b) {
  if (!a) return b;
  return b ? *a + *b : a;
}

// Counters add up over tracers; the heap's figures are the target's own, and the latest count.
TracerNews sum(const TracerNews& before, const TracerNews& now) {
  TracerNews all = now;
  all.samples = sum(before.samples, now.samples);
  all.rejected = sum(before.rejected, now.rejected);
  all.stopped_seconds = sum(before.stopped_seconds, now.stopped_seconds);
  all.attributed_bytes = sum(before.attributed_bytes, now.attributed_bytes);
  all.unattributed_bytes = sum(before.unattributed_bytes, now.unattributed_bytes);
  const auto latest = [](std::optional<double>& out, const std::optional<double>& older) {
    if (!out) out = older;
  };
  latest(all.heap_used_bytes, before.heap_used_bytes);
  latest(all.heap_free_bytes, before.heap_free_bytes);
  latest(all.heap_arena_bytes, before.heap_arena_bytes);
  latest(all.heap_blocks, before.heap_blocks);
  for (std::size_t i = 0; i < 3; ++i) latest(all.collections[i], before.collections[i]);
  return all;
}

}  // namespace

void TracerSlot::want(bool wanted, SteadyTime now) {
  wanted_ = wanted;
  if (wanted || !tracer_ || tracer_->asked()) return;
  tracer_->ask_end(now);
  state_ = State::kEnding;
}

void TracerSlot::fail(std::string why, SteadyTime now) {
  state_ = State::kFailed;
  reason_ = std::move(why);
  const bool long_ago = now - started_ > kGoodRun;
  pause_ = long_ago || pause_ == 0ns
               ? kFirstRestartPause
               : std::min<std::chrono::nanoseconds>(pause_ * 2, kLongestRestartPause);
  next_try_ = now + pause_;
}

void TracerSlot::start(const std::vector<std::string>& program, const TracerOrder& order,
                       SteadyTime now) {
  started_ = now;
  auto tracer = TracerProcess::start(program, order);
  if (!tracer.has_value()) return fail(memspy::describe(tracer.error()), now);
  tracer_ = std::move(*tracer);
  state_ = State::kStarting;
  ended_well_ = false;
  engine_.clear();
  reason_.clear();
  waits_for_.clear();
}

void TracerSlot::hear(const TracerNews& news) {
  switch (news.kind) {
    case TracerNews::Kind::kStarted:
      if (state_ == State::kStarting) state_ = State::kTracing;
      engine_ = news.engine;
      reason_ = news.reason;
      break;
    case TracerNews::Kind::kStatus:
      now_ = news;
      break;
    case TracerNews::Kind::kEnded:
      ended_well_ = true;
      reason_ = news.message;
      break;
    case TracerNews::Kind::kRefused:
      reason_ = news.message;
      break;
  }
}

void TracerSlot::read_cost(const procfs::ProcDir& proc, SteadyTime now) {
  const auto stat = proc.stat(tracer_->pid());
  if (!stat.has_value()) return;
  cpu_now_ = static_cast<double>(stat->user_ticks + stat->system_ticks) /
             static_cast<double>(::sysconf(_SC_CLK_TCK));
  if (now < next_memory_) return;
  next_memory_ = now + kTracerMemoryPause;
  if (const auto rollup = proc.smaps_rollup(tracer_->pid())) memory_bytes_ = rollup->pss_bytes;
}

void TracerSlot::note_end(int status, SteadyTime now, Change& change) {
  const bool asked = tracer_->asked();
  tracer_.reset();
  before_ = sum(before_, std::exchange(now_, {}));
  cpu_before_ += std::exchange(cpu_now_, 0);
  engine_.clear();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && ended_well_) {
    state_ = State::kIdle;
    return;
  }
  if (asked) {  // it was killed for being late
    state_ = State::kIdle;
    return;
  }
  change.crashed = WIFSIGNALED(status);
  fail(reason_.empty() ? "the tracer ended by " + describe_child_end(status) : reason_, now);
  change.message = reason_;
}

TracerSlot::Change TracerSlot::tick(const procfs::ProcDir& proc, SteadyTime now) {
  Change change;
  if (!tracer_) return change;
  // Asked before its output is read: what it said last is not missed.
  const auto status = tracer_->ended();
  for (const TracerNews& news : tracer_->take_news().news) hear(news);
  if (status) {
    note_end(*status, now, change);
    return change;
  }
  read_cost(proc, now);
  tracer_->keep_deadline(now);
  return change;
}

void TracerSlot::describe(TargetStatus& status) const {
  static constexpr const char* kNames[] = {"idle", "starting", "tracing", "ending", "failed"};
  const bool waiting = wanted_ && state_ == State::kIdle;
  status.tracer = waiting ? "waiting" : kNames[static_cast<std::size_t>(state_)];
  status.engine = engine_;
  status.reason = waiting && !waits_for_.empty() ? waits_for_ : reason_;
  status.traced = sum(before_, now_);
  status.tracer_cpu_seconds = cpu_seconds();
}

}  // namespace memspy::daemon

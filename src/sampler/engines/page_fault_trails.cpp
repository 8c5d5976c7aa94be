// The part of the engine that keeps the trails: how many records they leave, how deep those are,
// and how many their rings hold.
#include <algorithm>
#include <bit>

#include "sampler/engines/page_fault.h"

namespace memspy::sampler {
namespace {

using attach::FaultKind;
using attach::PerfFaultEvent;

constexpr std::uint64_t kLeftBehind = 4;          // times the usual period
constexpr std::size_t kStackMargin = 256;         // bytes above the deepest word seen so far
constexpr std::size_t kAllTrailRings = 16 << 20;  // bytes, of all threads
constexpr std::size_t kSmallestTrailRing = 64 << 10, kLargestTrailRing = 8 << 20;

}  // namespace

// The periods themselves change at each thread's own next sample: set from outside while it runs,
// the very next fault is a sample, chosen by the clock. Only a thread that a burst has left with a
// far longer one is not waited for; its trail has the weights.
void PageFaultEngine::follow_all(Budgets& budgets, const Target& target) {
  for (auto& [tid, thread] : threads_) {
    if (thread->target != &target || !thread->trail.event) continue;
    follow(*thread, thread->trail, FaultKind::kUserTrail, budgets.stops, kTrailRecords);
    if (!thread->user || thread->period <= kLeftBehind * budgets.stops.period()) continue;
    thread->period = budgets.stops.jittered_period();
    thread->user->set_period(thread->period);
  }
}

// Between two stops the trail tells where the faults were taken.
void PageFaultEngine::follow(Thread& thread, Trail& trail, FaultKind kind, const Budget& budget,
                             std::size_t records) {
  const std::uint64_t period = budget.trail_period();
  if (trail.event) {
    if (period != trail.period) trail.event->set_period(period);
    trail.period = period;
    return;
  }
  if (trail.refused || !sampling()) return;
  const std::size_t ring_bytes = trail_bytes(trail, records);
  auto event = PerfFaultEvent::open(thread.tid, kind, period, 0, ring_bytes, trail.stack_bytes);
  for (std::size_t bytes = ring_bytes / 2;
       event.has_value() && !event->has_ring() && bytes >= kSmallestTrailRing; bytes /= 2) {
    event = PerfFaultEvent::open(thread.tid, kind, period, 0, bytes, trail.stack_bytes);
  }
  trail.refused = !event.has_value() || !event->has_ring();
  if (trail.refused) return;
  trail.event = std::move(event).value();
  trail.small = records < kTrailRecords;
  trail.period = period;
  watch(trail.event->fd(), kTrailKey | static_cast<std::uint64_t>(thread.tid.value));
  trail.event->enable();
}

// What a record must have of the stack, in the places that this process is known to come from.
std::size_t PageFaultEngine::stack_bytes_for(const Target& target) {
  const std::size_t words = places_of(target).reach();
  const std::size_t bytes =
      (words - std::min(words, attach::kFaultRegisters)) * sizeof(std::uint64_t) + kStackMargin;
  return std::clamp(std::bit_ceil(bytes), attach::kLeastStackBytes, attach::kMostStackBytes);
}

void PageFaultEngine::fit_depth(const Target& target) {
  const std::size_t wanted = stack_bytes_for(target);
  for (auto& [tid, thread] : threads_) {
    Trail& trail = thread->trail;
    if (thread->target != &target || trail.stack_bytes == wanted) continue;
    trail.stack_bytes = wanted;
    if (trail.event) reopen(*thread, wanted);
  }
}

// The new one before the old one is given up: the thread runs on meanwhile.
void PageFaultEngine::reopen(Thread& thread, std::size_t stack_bytes) {
  Trail fresh;
  fresh.stack_bytes = stack_bytes;
  follow(thread, fresh, FaultKind::kUserTrail, budgets_of(*thread.target).stops, kTrailRecords);
  if (!fresh.event) return;
  drain(thread);
  fresh.settled_period = thread.trail.settled_period;
  thread.trail = std::move(fresh);
}

// The next fault of this thread is a stop, which sets the period again. Only a period of one says
// so whatever the thread does: while it is not on a processor the kernel begins a longer one anew,
// and a thread that sleeps between its bursts would never come to the end of it.
void PageFaultEngine::hurry(Thread& thread) {
  if (thread.user && budgets_of(*thread.target).stops.can_hurry()) thread.user->set_period(1);
}

void PageFaultEngine::follow_calls(Thread& thread) {
  const auto kind = thread.user ? FaultKind::kCallTrail : FaultKind::kTrailAll;
  follow(thread, thread.call_trail, kind, budgets_of(*thread.target).kernel_reads, kTrailRecords);
}

// Room for so many records, or a fair share of what all rings may have.
std::size_t PageFaultEngine::trail_bytes(const Trail& trail, std::size_t records) const {
  const std::size_t fair = kAllTrailRings / std::max<std::size_t>(threads_.size(), 1);
  return std::clamp(std::bit_floor(std::min(records * trail.stack_bytes, fair)), kSmallestTrailRing,
                    kLargestTrailRing);
}

}  // namespace memspy::sampler

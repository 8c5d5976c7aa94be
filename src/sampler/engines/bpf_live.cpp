#include "sampler/engines/bpf_live.h"

#include <utility>

namespace memspy::sampler {
namespace {

using attach::PerfWatch;
using cpython::BlockContent;

// A write costs what the program takes for a stack; a birth memspy's time alone.
constexpr LivePrices kPrices{.write = 4e-6,
                             .birth = 100e-6,
                             .writes_share = 0.1,
                             .sweeps_share = 0.15,
                             .rounds_share = 0.4,
                             .births_share = 0.1};

}  // namespace

BpfLive::BpfLive(EngineContext& context, Roster& roster, StackInterner& interner,
                 attach::BpfFaults& faults, std::function<void()> take_records)
    : faults_(faults),
      take_records_(std::move(take_records)),
      rounds_(context, roster, interner, *this, kPrices) {}

void BpfLive::start_thread(Target& target, Tid tid, bool newborn) {
  WatchedThread& thread = rounds_.add_thread(target, tid);
  if (newborn) rounds_.welcome(thread);
}

std::optional<PerfWatch> BpfLive::open_one(Tid tid) {
  auto watch = PerfWatch::open(tid, std::nullopt);
  if (!watch.has_value() || !faults_.tell_writes(*watch).has_value()) return std::nullopt;
  return std::move(watch).value();
}

void BpfLive::open(WatchedThread& thread, bool) {
  while (thread.watches.size() < kWatches) {
    auto watch = open_one(thread.tid);
    if (!watch) break;  // a debugger has some of them: the rest will do
    thread.watches.push_back(std::move(*watch));
  }
  thread.refused = thread.watches.empty();
}

// The old one goes first: there may be no room for both.
bool BpfLive::arm(WatchedThread& thread, std::size_t slot, RemoteAddr address) {
  PerfWatch& watch = thread.watches[slot];
  if (watch.fd() < 0 || watch.spent()) {
    watch.close();
    auto fresh = open_one(thread.tid);
    if (!fresh) return false;
    watch = std::move(*fresh);
  }
  return watch.arm_for(address, LiveWatcher::kMostStops);
}

std::optional<std::size_t> BpfLive::slot_of(const memspy_bpf_record& record) {
  const WatchedThread* thread = rounds_.find(Tid{static_cast<pid_t>(record.tid)});
  if (thread == nullptr || thread->target->index().value != record.process) return std::nullopt;
  for (std::size_t i = 0; i < thread->watches.size(); ++i) {
    const auto block = rounds_.watched_block(*thread->target, i);
    if (block && block->value + BlockContent::kMark == record.address) return i;
  }
  return std::nullopt;
}

void BpfLive::on_write(const memspy_bpf_record& record, std::size_t slot,
                       std::optional<StackId> stack) {
  WatchedThread* thread = rounds_.find(Tid{static_cast<pid_t>(record.tid)});
  BlockContent* content = thread != nullptr ? rounds_.content_of(*thread->target) : nullptr;
  if (content == nullptr || slot >= thread->watches.size()) return;
  thread->watches[slot].note_told();
  const RemoteAddr block{record.address - BlockContent::kMark};
  const auto owner = stack ? std::optional(LiveOwner{thread->index, *stack}) : std::nullopt;
  rounds_.on_write(*thread->target, slot, content->judge(block, record.written, record.behind),
                   (record.flags & MEMSPY_BPF_COLLECTING) != 0, owner,
                   SteadyTime{std::chrono::nanoseconds(record.time)});
}

void BpfLive::cease() {
  rounds_.cease_watching();
  rounds_.look_last();
}

}  // namespace memspy::sampler

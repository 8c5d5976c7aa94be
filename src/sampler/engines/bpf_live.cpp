#include "sampler/engines/bpf_live.h"

#include <utility>

namespace memspy::sampler {
namespace {

using attach::PerfWatch;
using cpython::BlockContent;

// A write costs what the program takes for a stack; births cost nothing, they inherit.
constexpr LivePrices kPrices{.write = 4e-6,
                             .birth = 100e-6,
                             .writes_share = 0.4,
                             .sweeps_share = 0.15,
                             .rounds_share = 0.3,
                             .births_share = 0};
static_assert(BpfLive::kFaultShare + kPrices.writes_share + kPrices.sweeps_share +
                  kPrices.rounds_share <=
              1);

}  // namespace

BpfLive::BpfLive(EngineContext& context, Roster& roster, StackInterner& interner,
                 attach::BpfFaults& faults, std::function<void()> take_records)
    : faults_(faults),
      take_records_(std::move(take_records)),
      rounds_(context, roster, interner, *this, kPrices) {}

// Who has been started by a watched thread has its watches; with its own besides it would have too
// many, which the kernel refuses.
void BpfLive::start_thread(Target& target, Tid tid, bool newborn) {
  WatchedThread& thread = rounds_.add_thread(target, tid);
  thread.refused = newborn && rounds_.watches(target);
}

void BpfLive::open(WatchedThread& thread, bool) {
  while (thread.watches.size() < kWatches) {
    auto watch = PerfWatch::open_for_heirs(thread.tid);
    if (!watch.has_value() || !faults_.tell_writes(*watch).has_value())
      break;  // a debugger has some of them: the rest will do
    thread.watches.push_back(std::move(watch).value());
  }
  thread.refused = thread.watches.empty();
}

void BpfLive::expect(const Target& target, RemoteAddr address) {
  faults_.expect_writes(target.index().value, address, LiveWatcher::kMostStops);
}

void BpfLive::forget(const Target& target, RemoteAddr address) {
  faults_.forget_writes(target.index().value, address);
}

std::optional<std::size_t> BpfLive::slot_of(const Target& target,
                                            const memspy_bpf_record& record) const {
  for (std::size_t i = 0; i < kWatches; ++i) {
    const auto block = rounds_.watched_block(target, i);
    if (block && block->value + BlockContent::kMark == record.address) return i;
  }
  return std::nullopt;
}

void BpfLive::on_write(const Target& target, std::size_t slot, const memspy_bpf_record& record,
                       const std::optional<LiveOwner>& owner) {
  BlockContent* content = rounds_.content_of(target);
  if (content == nullptr) return;
  rounds_.note_told(target, slot);
  const RemoteAddr block{record.address - BlockContent::kMark};
  rounds_.on_write(target, slot, content->judge(block, record.written, record.behind),
                   (record.flags & MEMSPY_BPF_COLLECTING) != 0, owner,
                   SteadyTime{std::chrono::nanoseconds(record.time)});
}

void BpfLive::cease() {
  rounds_.cease_watching();
  rounds_.look_last();
}

}  // namespace memspy::sampler

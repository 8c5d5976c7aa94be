// The part of the engine that reads stacks beside running threads: it costs them nothing, and what
// is read may be late.
#include <algorithm>
#include <array>
#include <sstream>

#include "sampler/engines/page_fault.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using attach::FaultRecord;

constexpr std::uint64_t kCallCheck = 8;  // every so many wake-ups with known records
constexpr int kReadsBeside = 4;
constexpr auto kWarmUpTime = 20ms;
constexpr std::chrono::milliseconds kIdentifyPause = 1s, kFirstIdentifyPause = 20ms;

}  // namespace

// A first stop would take a millisecond: names and line tables of thirty frames, and code of ours
// that has never run. They are read beside the threads before anything is stopped.
void PageFaultEngine::warm_up() {
  const auto end = std::chrono::steady_clock::now() + kWarmUpTime;
  for (auto& [tid, thread] : threads_) {
    if (std::chrono::steady_clock::now() > end) return;
    (void)read_running(*thread);
  }
}

// Where much is unknown, stacks are read beside the thread as well: that costs it nothing. Not
// while it is blocked: it has touched what waits before that, and the calls it blocks in, over and
// over, have left their instructions where those records look for theirs.
void PageFaultEngine::learn_beside(Thread& thread) {
  thread.faults.new_moment();
  for (int i = 0; i < kReadsBeside && thread.faults.much_unknown(); ++i) {
    const auto stat = context_.proc.stat(thread.target->pid(), thread.tid);
    if (!stat.has_value() || stat->state != 'R') return;
    if (!read_running(thread) || thread.stack.frames.empty()) return;
    Pending sample;
    sample.python = true;
    thread.faults.learn_waiting(thread.stack, intern(thread, sample));
  }
}

// --- faults inside a system call: the thread goes on, its Python stack does not move ---

void PageFaultEngine::on_readable(std::uint64_t key) {
  const auto it = threads_.find(Tid{static_cast<pid_t>(key & ~kTrailKey)});
  if (it == threads_.end()) return;
  Thread& thread = *it->second;
  if ((key & kTrailKey) != 0) return drain(thread);
  if (!thread.kernel) return;
  const auto begin = std::chrono::steady_clock::now();
  learn_call(thread);
  if (!thread.call_trail.event) {
    for (const FaultRecord& record : calls_) thread.faults.add(ThreadFaults::Mode::kKernel, record);
  }
  const auto now = std::chrono::steady_clock::now();
  Budgets& budgets = budgets_of(*thread.target);
  budgets.kernel_reads.on_stop(now, now - begin, 0);
  charge(thread, take_user_count(thread), Moment::kRunning);
  follow_calls(thread);
  // Each change makes the next fault a sample, and its wake-up is soon: no more of them than
  // needed.
  const std::uint64_t period = std::max<std::uint64_t>(
      budgets.kernel_reads.period() / (thread.faults.much_unknown() ? 8 : 1), 1);
  if (period == thread.kernel_period) return;
  thread.kernel_period = period;
  thread.kernel->set_period(thread.kernel_period);
}

// A record that names no stack: the thread's stack is read as it is now. It is the record's where
// that holds its instruction, or where the thread is blocked in that very call. What is known
// already is put to the test now and then.
void PageFaultEngine::learn_call(Thread& thread) {
  calls_.clear();
  bool known = true;
  thread.kernel->take_records([&](const FaultRecord& record) {
    known = known && thread.faults.match(record);
    calls_.push_back(record);
  });
  if (known && !calls_.empty() && ++thread.kernel_wakes % kCallCheck != 0) return;
  Pending sample;
  sample.readable = read_running(thread);
  sample.outside = thread.target->reader() == nullptr;
  sample.python = thread.thread_id.has_value();
  // The thread moves too fast: a later call will do.
  if (!sample.readable && !sample.outside && sample.python) return;
  const StackId stack = intern_call(thread, sample);
  thread.faults.set_stack(ThreadFaults::Mode::kKernel, stack);
  thread.faults.new_moment();
  for (const FaultRecord& record : calls_) {
    if (thread.faults.guess(record, thread.stack, stack)) continue;
    if (!thread.faults.match(record) && in_call(thread, record)) {
      (void)thread.faults.learn(record, thread.stack, stack, FaultEvidence::kStopped);
    }
  }
}

// The record of the call has the registers and the top of the stack that it was made from.
StackId PageFaultEngine::intern_call(Thread& thread, const Pending& sample) {
  const bool python = sample.readable && !thread.stack.frames.empty();
  if (!context_.options.native || calls_.empty() || !python) return intern(thread, sample);
  roster_.name_thread(*thread.target, thread.tid, *thread.thread_id);
  return natives_.intern_record(*thread.target, calls_.back(), thread.stack, true).stack;
}

bool PageFaultEngine::read_running(Thread& thread) {
  identify(thread);
  return thread.thread_id && thread.target->read_running(*thread.thread_id, thread.stack);
}

// Blocked in the very call, or again at the same place: "NR ARG0 … ARG5 SP PC", in hexadecimal but
// for the number. A thread that runs prints "running".
bool PageFaultEngine::in_call(const Thread& thread, const attach::FaultRecord& call) const {
  const auto text = context_.proc.syscall(thread.target->pid(), thread.tid);
  if (!text.has_value() || text->starts_with("running")) return false;
  std::istringstream words(*text);
  std::int64_t number = 0;
  std::array<std::uint64_t, 8> values{};
  words >> number >> std::hex;
  for (auto& value : values) words >> value;
  return words && values[0] == call.argument && values[6] == call.stack && values[7] == call.code;
}

void PageFaultEngine::identify(Thread& thread) {
  const auto now = std::chrono::steady_clock::now();
  if (thread.thread_id || now < thread.next_identification) return;
  auto* reader = thread.target->reader();
  const bool known =
      reader != nullptr && thread.born_with && reader->find_thread_state(*thread.born_with);
  const auto thread_id = known ? thread.born_with : thread.target->find_thread_id(thread.tid);
  const bool young = now - thread.seen < kYouth;
  thread.next_identification = now + (young ? kFirstIdentifyPause : kIdentifyPause);
  if (!thread_id) return;
  recognise(thread, *thread_id);
  thread.faults.set_native(false);
}

}  // namespace memspy::sampler

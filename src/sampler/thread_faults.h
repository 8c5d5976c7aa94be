// The faults of one thread on their way to the collector: how many there were, where, and which
// stack each is charged to. Records that name no stack yet wait until their place has been learnt.
//
// Counts are exact, records may be thinned out or lost: every record stands for an equal part of
// what was counted. One thread (the tracer).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "attach/perf_fault_event.h"
#include "sampler/event_queue.h"
#include "sampler/fault_matcher.h"
#include "sampler/stack_interner.h"

namespace memspy::sampler {

// What the threads of a run share.
struct FaultOutlet {
  EventQueue& queue;
  StackInterner& interner;
  std::atomic<std::uint64_t>& samples;
  std::atomic<std::uint64_t>& late;
  std::size_t waiting = 0;  // records of all threads that name no stack yet
};

class ThreadFaults {
 public:
  enum class Mode { kUser, kKernel };  // taken in user mode; inside a system call
  static constexpr std::uint64_t kNoTrail = 0;
  static constexpr std::size_t kMuchUnknown = 16;

  // Makes the stack of a record, with its native frames; null: the thread has no Python frames.
  using InternRecord = std::function<InternedStack(const attach::FaultRecord&,
                                                   const cpython::RawStack*, bool callers_known)>;

  // Without `intern_record` stacks are Python's alone.
  ThreadFaults(FaultOutlet& outlet, FaultPlaces& places, ProcessIndex process, ThreadIndex thread,
               InternRecord intern_record = {});
  ~ThreadFaults();
  ThreadFaults(const ThreadFaults&) = delete;
  ThreadFaults& operator=(const ThreadFaults&) = delete;

  // pthread_self(): where the thread's stack is.
  void set_stack_base(std::uint64_t base) { stack_base_ = base; }
  // Stacks are resolved with this reader; null: nothing matches yet.
  void set_reader(cpython::StackReader* reader) { reader_ = reader; }
  // A thread without Python frames: there is nothing to learn, and all is charged to its stack, or
  // to what the records themselves hold.
  void set_native(bool native) { native_ = native; }

  // The stack that faults are charged to whose records name none; nullopt: they stay unattributed.
  void set_stack(Mode mode, std::optional<StackId> stack) { side(mode).stack = stack; }
  bool learn(const attach::FaultRecord& record, const cpython::RawStack& stack, StackId id,
             FaultEvidence evidence);
  // Stacks that were read while the thread ran. One moment is one piece of evidence for a place,
  // however many of its records hold the instruction: new_moment() begins another. guess(): false
  // where the record does not hold it.
  void new_moment() { guessed_.clear(); }
  bool guess(const attach::FaultRecord& record, const cpython::RawStack& stack, StackId id,
             FaultEvidence evidence = FaultEvidence::kMaybe);
  // The same for the newest records that wait.
  void learn_waiting(const cpython::RawStack& stack, StackId id);
  std::optional<StackId> match(const attach::FaultRecord& record);
  // Looks for the functions of records that wait and name one which no stack has shown: it may be
  // over within a millisecond.
  void meet_strangers();

  void add(Mode mode, const attach::FaultRecord& record);
  // Two neighbouring 2 MiB were touched one right after the other: by one fault each.
  bool has_huge_pages() const { return huge_pages_; }
  // Of the newest user fault without a record.
  void set_address(RemoteAddr address) { address_ = address; }
  // Charges what was counted since the last call. `period`: of the trail; each record stands for so
  // many faults, and what is over waits for the next one. Much more than that was lost when the
  // ring was full, which is after the last record that it took: it goes where that one goes.
  // kNoTrail: no record will come; what has none is charged to the stack.
  void settle(Mode mode, std::uint64_t faults, std::uint64_t period);
  // Are there records that name no stack yet?
  bool waits() const { return !waiting_.empty(); }
  std::size_t waiting() const { return waiting_.size(); }
  // Those of them whose places are known by now are charged.
  void retry();
  // Waits no longer.
  void give_up();
  bool much_unknown() const;
  // Since the last call many records of user mode have come from places that nobody knows: a stop
  // there, while it goes on, would tell.
  bool take_wish() { return std::exchange(unknown_pages_, 0) > kMuchUnknown; }

 private:
  struct Located {
    StackId stack;
    RemoteAddr address;
  };
  struct Page {
    RemoteAddr address;
    std::uint64_t faults = 0;
  };
  // Records that differ in their pages alone: of one call, or one loop in native code.
  struct Unknown {
    Mode mode;
    attach::FaultRecord record;
    std::vector<Page> pages;
    std::optional<StackId> stack;  // to be charged should none be found
    std::uint64_t met = 0;         // with so much known it was looked at by meet_strangers()
  };
  struct Side {
    std::optional<StackId> stack;
    std::vector<Located> known;
    std::vector<Unknown> unknown;
    std::size_t records = 0;
    bool newest_known = false;  // the newest record is among the known ones
    std::int64_t owed = 0;      // counted, but not yet charged
  };

  Side& side(Mode mode) { return mode == Mode::kUser ? user_ : kernel_; }
  void share(Mode mode, std::uint64_t faults, std::uint64_t lost);
  InternedStack intern(const attach::FaultRecord& record, const cpython::RawStack& stack,
                       bool callers_known) const;
  std::optional<StackId> native_stack(Mode mode, const attach::FaultRecord& record);
  void push_pages(const Unknown& unknown, StackId stack, bool late);
  void wait(Unknown&& unknown);
  void give_up(const Unknown& unknown);
  std::optional<StackId> guess_stack(const attach::FaultRecord& record);
  void tell_owed();
  void tell_waiting(const Unknown& unknown, bool begin);
  void push(StackId stack, RemoteAddr address, std::uint64_t faults, bool in_kernel, bool late);

  FaultOutlet& outlet_;
  ProcessIndex process_;
  ThreadIndex thread_;
  InternRecord intern_record_;
  FaultMatcher matcher_;
  const FaultMatcher::Intern intern_ = [this](const auto&... stack) { return intern(stack...); };
  cpython::StackReader* reader_ = nullptr;
  bool native_ = false;
  std::uint64_t stack_base_ = 0;
  Side user_, kernel_;
  RemoteAddr address_;
  RemoteAddr newest_;  // of all records
  bool huge_pages_ = false;
  std::deque<Unknown> waiting_;                                   // oldest first
  std::int64_t told_owed_ = 0;                                    // to the collector
  std::vector<std::pair<std::uint64_t, std::uint64_t>> guessed_;  // places, at this moment
  std::unordered_set<std::uint64_t> unfound_;  // instructions that lead to no function
  std::size_t unknown_pages_ = 0;              // that began to wait since the last wish for a stop
  std::uint64_t tried_ = 0;                    // the matcher's generation they were tried with
};

}  // namespace memspy::sampler

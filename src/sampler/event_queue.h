// From the tracer thread to the collector: definitions first, then what refers to them. Bounded:
// when it is full samples are dropped and counted, definitions never.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cpython/interpreter.h"
#include "memspy/sample.h"
#include "sampler/chunk.h"
#include "sampler/live/live_book.h"

namespace memspy::sampler {

struct FrameDefined {
  FrameId id;
  Frame frame;
};
struct StackDefined {
  StackId id;
  StackTable::Node node;
};

// Faults of one thread up to this stack.
struct FaultSample {
  ProcessIndex process;
  ThreadIndex thread;
  StackId stack;
  RemoteAddr address;        // of the last fault; 0: not known
  std::uint64_t faults = 0;  // since the thread's previous sample
  bool in_kernel = false;    // taken inside a system call
  bool late = false;         // the stack was read after that call had ended
};

// One tick of a thread's clock, under `--mode alloc`.
struct ClockTick {
  ProcessIndex process;
  ThreadIndex thread;
  StackId stack;  // that was allocating; kNoStack: it was not
  std::chrono::nanoseconds cpu_time{};
};

// Faults that were counted and will be charged later, by so many more: RSS holds their pages
// already.
struct FaultsAwaited {
  ProcessIndex process;
  ChunkIndex chunk = kNoChunk;  // where they were taken; kNoChunk: not known
  std::int64_t more = 0;
};

// The interpreter of a process, for the series that need it. A copy: the tracer keeps its own.
struct InterpreterFound {
  ProcessIndex process;
  std::shared_ptr<const cpython::Interpreter> interpreter;
};

// A process has copied itself: from here on its pages are shared with the copy.
struct ForkNoticed {
  ProcessIndex process;
};

// RSS at an edge of the time in which samples cover a process' memory.
struct WindowEdge {
  enum class Kind {
    kBegins,  // sampling begins; what is resident now is the baseline
    kEnds,    // sampling ends, the process goes on
    kLeaves,  // the process is about to exit: the last look
    kExeced,  // this memory is gone, another process index takes over
    kExited,  // the process is gone; rss_bytes is 0
  };
  ProcessIndex process;
  Kind kind;
  std::uint64_t rss_bytes = 0;
  std::string how;  // kExited: "exit 0", "killed by SIGKILL"
  bool fresh =
      false;  // kBegins: right after an exec, nothing is there yet that would be a baseline
  // kBegins, of a fork: whom the memory that it shares with its parent is charged to.
  std::optional<std::pair<ThreadIndex, StackId>> inherits = std::nullopt;
};

// Under `--mode live`: how the heap has grown so far, and where its arenas are. The pages of those
// are charged to `pages`: whose blocks are in them is what the profile says.
struct LiveProfiled {
  ProcessIndex process;
  std::shared_ptr<const LiveProfile> profile;
  cpython::PymallocState pymalloc;
  std::vector<std::pair<RemoteAddr, std::uint64_t>> arenas;  // start and size, ascending
  StackId pages;
};

using Event = std::variant<ProcessRecord, ThreadRecord, FrameDefined, StackDefined, FaultSample,
                           FaultsAwaited, InterpreterFound, ForkNoticed, WindowEdge, LiveProfiled,
                           ClockTick, Gap>;

class EventQueue {
 public:
  void push(Event event) {
    const std::lock_guard lock(mutex_);
    if (const auto* awaited = std::get_if<FaultsAwaited>(&event)) {  // a sum is all that matters
      awaited_[{awaited->process, awaited->chunk}] += awaited->more;
      return;
    }
    const bool sample =
        std::holds_alternative<FaultSample>(event) || std::holds_alternative<ClockTick>(event);
    if (events_.size() >= kMaxEvents && sample) {
      ++dropped_;
      return;
    }
    events_.push_back(std::move(event));
  }
  // Everything so far, in order.
  std::vector<Event> drain() {
    std::vector<Event> events;
    const std::lock_guard lock(mutex_);
    events.swap(events_);
    for (const auto& [where, more] : awaited_)
      events.push_back(FaultsAwaited{where.first, where.second, more});
    awaited_.clear();
    return events;
  }
  // It should be drained soon.
  bool crowded() const {
    const std::lock_guard lock(mutex_);
    return events_.size() > kMaxEvents / 4;
  }
  std::uint64_t dropped() const {
    const std::lock_guard lock(mutex_);
    return dropped_;
  }

 private:
  // Seconds of fault records at the highest rate the budget allows.
  static constexpr std::size_t kMaxEvents = 50'000;
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::map<std::pair<ProcessIndex, ChunkIndex>, std::int64_t> awaited_;
  std::uint64_t dropped_ = 0;
};

}  // namespace memspy::sampler

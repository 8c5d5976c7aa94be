// Who is under observation: the processes and threads of a run, with the indexes that records use.
// Announces each in the event queue before anything refers to it.
//
// A process that executes a new program is a new process here: its memory has nothing in common
// with what was there before. Tracer thread only.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "base/clock.h"
#include "sampler/event_queue.h"
#include "sampler/target.h"

namespace memspy::sampler {

class Roster {
 public:
  Roster(const procfs::ProcDir& proc, EventQueue& queue, SteadyTime start,
         std::optional<int> assume_minor)
      : proc_(proc), queue_(queue), start_(start), assume_minor_(assume_minor) {}

  // The target of a pid, made and announced on first sight.
  Target& process(Pid pid, std::optional<Pid> parent = std::nullopt);
  Target* find_process(Pid pid);
  void remove_process(Pid pid) { processes_.erase(pid); }

  // Announced with the kernel's name at first, with Python's once `thread_id` is known.
  ThreadIndex thread(const Target& target, Tid tid);
  void name_thread(Target& target, Tid tid, std::uint64_t thread_id);
  void remove_thread(Tid tid) { threads_.erase(tid); }

  // Announces what is known of a process now: again after its interpreter was found.
  void announce(const Target& target);

  // With RSS as it is now.
  WindowEdge edge_of(const Target& target, WindowEdge::Kind kind) const;

  const std::unordered_map<Pid, std::unique_ptr<Target>>& processes() const { return processes_; }

 private:
  struct Thread {
    ThreadIndex index;
    bool named = false;
  };
  const procfs::ProcDir& proc_;
  EventQueue& queue_;
  SteadyTime start_;
  std::optional<int> assume_minor_;
  symbolize::ElfMemo files_;  // the same for many a process: it outlives them
  std::unordered_map<Pid, std::unique_ptr<Target>> processes_;
  std::unordered_map<std::uint32_t, ProcessIndex> parents_;
  std::unordered_map<Tid, Thread> threads_;
  std::uint32_t process_count_ = 0;
  std::uint32_t thread_count_ = 0;
};

}  // namespace memspy::sampler

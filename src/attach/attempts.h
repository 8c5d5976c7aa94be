// What only trying can tell. Each attempt is harmless: it reads, or opens (or loads) and closes.
// Each returns 0 or the errno of its failure, where it does not say otherwise.
#pragma once

#include <string>

#include "memspy/address.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {

// Stands for "nothing was tried", because the root is a copy of some /proc and not the kernel's.
inline constexpr int kNotTried = -1;
inline constexpr const char* kNotTriedText = "not tried: this /proc is a copy";

struct Attempts {
  int (*signal_zero)(Pid pid);                               // does it exist, whatever /proc shows
  int (*read_memory)(const procfs::ProcDir& proc, Pid pid);  // process_vm_readv of one byte
  int (*read_pagemap)(const procfs::ProcDir& proc, Pid pid);
  int (*page_fault_event)(Tid tid, bool with_kernel);  // perf_event_open
  int (*trace)();  // ptrace of nobody: 0 when the call is there, whoever it may trace
  // Of these it is told why they do not work; empty when they do.
  std::string (*watchpoint)(Tid tid);  // PerfWatch::open
  std::string (*clock)(Tid tid);       // PerfClock::open
  std::string (*bpf)();                // BpfFaults::load

  static Attempts real();
  static Attempts none();  // each gives kNotTried
};

}  // namespace memspy::attach

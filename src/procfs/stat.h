// /proc/PID/stat and /proc/PID/statm, and the same files of a thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::procfs {

struct Stat {
  Pid pid;           // of the process or thread that was asked for
  std::string comm;  // may hold anything, parentheses, spaces and newlines included
  char state = '?';  // R S D T t Z X I…
  Pid ppid;
  Pid pgrp;
  Pid session;
  std::uint64_t flags = 0;         // PF_* of the kernel
  std::uint64_t minor_faults = 0;  // of this thread, or of all threads of a process
  std::uint64_t major_faults = 0;
  std::uint64_t user_ticks = 0;  // of sysconf(_SC_CLK_TCK)
  std::uint64_t system_ticks = 0;
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;  // since boot
  std::uint64_t vsize_bytes = 0;
  std::uint64_t rss_pages =
      0;               // coarse on kernels before 6.2; statm and status read the same counters
  int processor = -1;  // where it last ran; -1 before Linux 2.2.8

  bool zombie() const { return state == 'Z' || state == 'X' || state == 'x'; }
  // Stopped by a signal (T); 't' is a stop made by a tracer.
  bool job_stopped() const { return state == 'T'; }
  bool kernel_thread() const { return (flags & 0x00200000) != 0; }  // PF_KTHREAD
};

struct Statm {
  std::uint64_t size_pages = 0;
  std::uint64_t resident_pages = 0;
  std::uint64_t shared_pages = 0;  // resident file and shmem pages
  std::uint64_t text_pages = 0;
  std::uint64_t data_pages = 0;

  std::uint64_t rss_bytes() const;  // resident_pages in bytes
  std::uint64_t vms_bytes() const;
};

// kCorrupt when a field that every kernel prints is missing; zombies and kernel threads parse.
Result<Stat> parse_stat(std::string_view text);
Result<Statm> parse_statm(std::string_view text);

// /proc/PID/cmdline: arguments that end in NUL. Empty for kernel threads and zombies. A process
// that overwrote its arguments (setproctitle) may leave one long string without a NUL, padded with
// blanks.
std::vector<std::string> parse_cmdline(std::string_view text);

}  // namespace memspy::procfs

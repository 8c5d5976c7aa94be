// /proc/PID/status, and the same file of a thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::procfs {

// A set of signals as status prints it: bit n-1 is signal n.
struct SignalSet {
  std::uint64_t bits = 0;
  bool contains(int signal) const {
    return signal >= 1 && signal <= 64 && ((bits >> (signal - 1)) & 1) != 0;
  }
};

struct UserIds {
  std::uint32_t real = 0, effective = 0, saved = 0, filesystem = 0;
};

struct Status {
  std::string name;  // comm, with \n and \\ as the kernel escapes them
  char state = '?';
  Pid tgid;
  Pid pid;
  Pid ppid;
  Pid tracer;  // 0: not traced; in memspy's PID namespace
  UserIds uid;
  UserIds gid;
  std::vector<pid_t> ns_pids;  // one per PID namespace, outermost first; empty before Linux 4.1
  std::uint64_t threads = 0;
  bool kernel_thread = false;  // "Kthread: 1", Linux 6.8; elsewhere see Stat::kernel_thread()
  // Memory is absent for kernel threads and zombies; the Rss* split before Linux 4.5.
  std::optional<std::uint64_t> vm_peak_bytes, vm_size_bytes, vm_hwm_bytes, vm_rss_bytes;
  std::optional<std::uint64_t> rss_anon_bytes, rss_file_bytes, rss_shmem_bytes, vm_swap_bytes;
  std::optional<bool> thp_enabled;  // false: the process turned transparent huge pages off
  SignalSet sig_pending;            // SigPnd, of the thread
  SignalSet sig_shared_pending;     // ShdPnd, of the process
  SignalSet sig_blocked, sig_ignored, sig_caught;
  std::uint64_t cap_effective = 0, cap_permitted = 0, cap_bounding = 0;
  bool no_new_privs = false;
  int seccomp = 0;                               // 0 off, 1 strict, 2 filter
  std::optional<std::uint64_t> seccomp_filters;  // how many, Linux 5.9

  bool zombie() const { return state == 'Z' || state == 'X'; }
  bool has_capability(int capability) const {
    return capability >= 0 && capability < 64 && ((cap_effective >> capability) & 1) != 0;
  }
};

// kCorrupt when there is no Name, State or Pid; lines that are unknown or do not parse are skipped.
Result<Status> parse_status(std::string_view text);

}  // namespace memspy::procfs

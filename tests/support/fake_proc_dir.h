// A /proc made of files in a temporary folder, captured from real processes or written by a test.
// The folder goes when the object does. Outside of /proc (cgroup file systems, /sys, /etc) the same
// folder is the host's root: see ProcDir.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace memspy::testing {

class FakeProcDir {
 public:
  FakeProcDir();
  ~FakeProcDir();
  FakeProcDir(const FakeProcDir&) = delete;
  FakeProcDir& operator=(const FakeProcDir&) = delete;

  const std::string& host_root() const { return folder_; }
  std::string root() const { return folder_ + "/proc"; }

  // root/PID/entry with this content; folders are made as needed ("task/12/comm").
  void write(pid_t pid, std::string_view entry, std::string_view content);
  // root/PID/entry as a symbolic link.
  void link(pid_t pid, std::string_view entry, std::string_view target);
  // An empty folder root/PID: a process none of whose files can be found.
  void make_process(pid_t pid);
  // "sys/kernel/perf_event_paranoid", "self/mountinfo".
  void write_setting(std::string_view entry, std::string_view content);
  // "/sys/fs/cgroup/memory/…", "/etc/passwd".
  void write_host(std::string_view absolute_path, std::string_view content);
  void remove(pid_t pid);

  struct Process {
    std::string comm = "python3";
    char state = 'S';
    pid_t ppid = 1;
    unsigned uid = 1000;
    unsigned long long start_ticks = 12345;
    bool kernel_thread = false;
    // Lines of status that follow the usual ones and win over them.
    std::string more_status = {};
    pid_t pgrp = 0;  // 0: a group of its own
    std::string cmdline = std::string("python3\0app.py\0", 15);
  };
  // stat, status, statm, cmdline, cgroup and one thread with comm, stat and status.
  void add(pid_t pid, const Process& process);

 private:
  std::string folder_;
};

}  // namespace memspy::testing

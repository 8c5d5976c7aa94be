// A program that memspy starts: the daemon's tracers, hooks and looks at a heap; a client of
// servers. Its standard input and output are pipes of the daemon's, its end is a descriptor that
// becomes readable. Killed and reaped when the object goes: no child outlives its owner.
//
// Whoever starts one ignores SIGPIPE: a child may end before it has read.
//
// One thread each.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::daemon {

struct ChildOptions {
  std::vector<std::string> command;  // the first is a path, or found in PATH
  bool quiet = true;                 // standard error goes to /dev/null
  std::string output;                // a file for standard output, made anew; "": the pipe
  std::vector<std::string> extra_environment;  // "NAME=value"
  bool own_group = true;                       // a Ctrl-C at the terminal is not for it
};

class ChildProcess {
 public:
  // kOutput: the file cannot be made. kInternal: it cannot be started.
  static Result<ChildProcess> start(const ChildOptions& options);
  ChildProcess(ChildProcess&&) noexcept = default;
  ChildProcess& operator=(ChildProcess&&) noexcept;
  ~ChildProcess();

  Pid pid() const { return pid_; }
  int end_fd() const { return pidfd_.get(); }      // readable: it has ended
  int output_fd() const { return output_.get(); }  // -1 when it goes to a file; does not block
  // What fits into the pipe now (64 KiB at least in an empty one); the number of bytes taken.
  std::size_t write_some(const std::string& text);
  void close_input() { input_.reset(); }
  // Appends what has been printed so far; false once there will be no more.
  bool read_some(std::string& out);
  void signal(int number);
  // How it ended, as waitpid(2) has it; nullopt: it runs.
  std::optional<int> ended();

 private:
  ChildProcess() = default;
  void end_now();
  Pid pid_;
  UniqueFd pidfd_, input_, output_;
  std::optional<int> status_;
};

// "exit 3", "signal SIGSEGV", for a status of waitpid(2).
std::string describe_child_end(int status);

}  // namespace memspy::daemon

// One process under observation, as the tracer thread sees it: its memory, its interpreter once one
// is found, and the stacks of its threads.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attach/process_vm.h"
#include "cpython/interpreter.h"
#include "cpython/stack_reader.h"
#include "memspy/process.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"
#include "symbolize/elf_memo.h"

namespace memspy::sampler {

class Target {
 public:
  // `files` (may be null) outlives the target, and is shared by those of a run.
  Target(const procfs::ProcDir& proc, ProcessIndex index, Pid pid, std::optional<int> assume_minor,
         symbolize::ElfMemo* files = nullptr);

  ProcessIndex index() const { return index_; }
  Pid pid() const { return memory_->pid(); }
  const attach::ProcessVm& memory() const { return *memory_; }

  // Looks for the interpreter. An error leaves the target without one; it may be asked again.
  Result<Unit> find_interpreter();
  // The same, for as long as one takes to start up.
  Result<Unit> await_interpreter();
  // The same for a process that may be starting up: at most once in a while, and silently.
  void find_interpreter_soon();
  // A fork of `parent`: the same interpreter at the same addresses.
  void inherit(const Target& parent);
  bool has_interpreter() const { return reader_.has_value(); }
  const cpython::Interpreter* interpreter() const {
    return interpreter_ ? &*interpreter_ : nullptr;
  }
  cpython::StackReader* reader() { return reader_ ? &*reader_ : nullptr; }
  const std::vector<cpython::LocatorAttempt>& attempts() const { return attempts_; }

  // pthread_self() of a kernel thread without stopping it, by what the interpreter says of its
  // threads: their native ids, in the target's own PID namespace. nullopt: no Python thread.
  std::optional<std::uint64_t> find_thread_id(Tid tid);

  // The stack of a thread that is not stopped: two reads that agree. False: it moves too fast, or
  // has no Python state.
  bool read_running(std::uint64_t thread_id, cpython::RawStack& out);

  // Given to threading.Thread by the program, by pthread_self(); read again at most once a second.
  std::string thread_name(std::uint64_t thread_id);

 private:
  const procfs::ProcDir& proc_;
  ProcessIndex index_;
  std::optional<int> assume_minor_;
  symbolize::ElfMemo* files_;
  std::unique_ptr<attach::ProcessVm> memory_;  // its address must not move: readers keep it
  std::optional<cpython::Interpreter> interpreter_;
  std::optional<cpython::StackReader> reader_;
  std::vector<cpython::LocatorAttempt> attempts_;
  std::chrono::steady_clock::time_point next_search_{};
  std::chrono::nanoseconds search_pause_;  // ever longer
  std::chrono::steady_clock::time_point first_search_{};
  std::chrono::steady_clock::time_point names_read_{};
  std::vector<std::pair<std::uint64_t, std::string>> names_;
};

}  // namespace memspy::sampler

// A live process' memory through process_vm_readv. No attach, no stop; needs ptrace access rights.
#pragma once

#include <atomic>

#include "memspy/memory_reader.h"

namespace memspy::attach {

class ProcessVm final : public MemoryReader {
 public:
  explicit ProcessVm(Pid pid) : pid_(pid) {}
  std::size_t read_some(RemoteAddr addr, std::span<std::byte> out) const override;
  // One system call for up to IOV_MAX requests; continues behind a request that failed.
  void read_many(std::span<ReadRequest> requests) const override;
  Pid pid() const { return pid_; }
  // errno of the last failed call, 0 if none: tells "gone" (ESRCH) from "not permitted" (EPERM).
  int last_errno() const { return last_errno_.load(std::memory_order_relaxed); }

 private:
  Pid pid_;
  mutable std::atomic<int> last_errno_{0};
};

}  // namespace memspy::attach

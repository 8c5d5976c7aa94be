// Page faults, and writes to watched addresses, with the Python stack they were taken at, from
// programs in the kernel (bpf/fault_stacks.bpf.c): nothing is stopped and nothing is traced.
//
// Takes CAP_BPF and CAP_PERFMON, Linux 5.17 with type information (/sys/kernel/btf/vmlinux), and
// the initial PID namespace, since the kernel's numbers are those. All of it ends with this object,
// also by kill -9: the kernel drops what no descriptor holds.
//
// Used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "attach/bpf/kernel_record.h"
#include "attach/perf_watch.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::attach {

class BpfFaults {
 public:
  // A view into the kernel's ring, valid while it is visited. `frames` has as many as the head
  // says, one each MEMSPY_BPF_FRAME_STRIDE(head.frame_bytes).
  struct Record {
    const memspy_bpf_record& head;
    std::span<const std::byte> frames;
  };
  using Visitor = std::function<void(const Record&)>;

  // Loads the programs; nothing is watched yet. kPermission, or kUnsupported with the kernel's
  // words.
  static Result<std::unique_ptr<BpfFaults>> load();
  virtual ~BpfFaults() = default;

  // Readable when a burst waits, or a process forks, executes or ends.
  virtual int fd() const = 0;
  // Everything that waits, in order.
  virtual void consume(const Visitor& visit) = 0;

  // From now on its forks, its execs and its end are told, and stacks are followed as `walk` says,
  // which may be changed later. `process`: a number for the records.
  virtual Result<Unit> watch_process(std::uint32_t process, Pid pid,
                                     const memspy_bpf_walk& walk) = 0;
  virtual void forget_process(std::uint32_t process, Pid pid) = 0;

  // One record for each `period` faults of this thread.
  virtual Result<Unit> watch_thread(std::uint32_t process, Tid tid, std::uint64_t period) = 0;
  virtual void forget_thread(Tid tid) = 0;
  // The next fault is a record: who changes it often samples by the clock.
  virtual void set_period(Tid tid, std::uint64_t period) = 0;
  // Faults of a thread since it is watched. Interrupts it where it runs.
  virtual std::uint64_t count(Tid tid) const = 0;

  // From now on writes that this watch sees may leave records…
  virtual Result<Unit> tell_writes(const PerfWatch& watch) = 0;
  // …so many of those to this address at most. With the last of them fd() is readable: the watches
  // are to be disarmed, which no program in the kernel can do.
  virtual void expect_writes(std::uint32_t process, RemoteAddr address, std::int64_t most) = 0;
  virtual void forget_writes(std::uint32_t process, RemoteAddr address) = 0;

  // So many records of faults may be made until the next call. What is not recorded, for this or
  // for want of room, the thread's next record stands for.
  virtual void allow(std::int64_t records) = 0;

  // So far, for want of room in the ring: records of faults and writes, and forks, execs and ends.
  struct Lost {
    std::uint64_t records = 0, events = 0;
  };
  virtual Lost lost() const = 0;

 protected:
  BpfFaults() = default;
};

}  // namespace memspy::attach

// A still copy of a process' writable memory: one bounded stop, bulk copy, resume; everything else
// is done on the copy. The target's memory is neither written nor grown by it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/process.h"
#include "memspy/result.h"
#include "memspy/symbol_source.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {

class Seizure;

class Seizure;

struct ImageOptions {
  std::optional<std::chrono::nanoseconds> max_pause;  // over it the copy is given up, cleanly
  std::string spool;                                  // folder for the copy; "": memory
  int attempts = 3;  // when a thread that could not be held ran meanwhile
};

struct ImageEstimate {
  std::uint64_t copy_bytes = 0;       // resident pages to copy
  std::chrono::nanoseconds pause{};   // at the speed of this host
  std::uint64_t available_bytes = 0;  // memory (or disk) that can hold it
};

struct ImageFacts {
  ProcessIdentity process;
  std::chrono::nanoseconds pause{};    // longest time that a thread was held
  std::chrono::nanoseconds copying{};  // of it, spent copying
  std::chrono::nanoseconds wall_time{};
  std::uint64_t copied_bytes = 0;
  std::uint64_t rss_bytes = 0;  // at the stop
  std::uint32_t threads = 0, held = 0, left_alone = 0;
  std::uint32_t moved = 0;  // left alone, and ran during the copy all the same
  std::uint32_t attempts = 1;
  std::uint32_t cut_calls = 0;       // returned EINTR because of the stop: HoldReport
  std::string name, command;         // of a core file's process, as far as it says
  std::vector<std::string> remarks;  // for a person, with -v
};

// What one mapping held at the stop.
struct MappedPages {
  Mapping mapping;
  std::uint64_t rss_bytes = 0, swap_bytes = 0;
  std::uint64_t huge_bytes = 0;  // of rss, in huge pages
};

// Reads, all of them with view(): copied pages from the copy; what is still as in its file (code,
// constants, untouched data) from that file, or where the file cannot be had from the resident
// pages of the live process; pages that nobody has written to as zeros. Nothing becomes resident in
// the process by it. Views end where pieces of memspy's memory do, at the earliest at the end of a
// page: read_some() goes on behind them. Thread-safe.
class ProcessImage : public MemoryReader {
 public:
  virtual const ImageFacts& facts() const = 0;
  virtual const MemoryMap& map() const = 0;
  virtual const std::vector<MappedPages>& pages() const = 0;
  // The pages that were copied, ascending: of private memory those that were resident (or swapped
  // out). Empty: not known page by page (a core file).
  virtual std::span<const AddressRange> resident() const { return {}; }
};

// kOutput: neither memory nor spool can hold it (figures in the text); kTimeout: max_pause;
// kPermission, kNoSuchProcess, kAlreadyTraced, kTargetGone.
Result<ImageEstimate> estimate_image(const procfs::ProcDir& proc, Pid pid,
                                     const ImageOptions& options);
Result<std::unique_ptr<ProcessImage>> take_image(const procfs::ProcDir& proc, Pid pid,
                                                 const ImageOptions& options);
// Has the stop done by the thread that traces the process, and returns when that is over: an error
// where it was not done. What is made ready for the copy, and of it, is done by the caller: sampled
// threads wait for their tracer meanwhile.
using OnTracer = std::function<Result<Unit>(const std::function<void(Seizure&)>& stop)>;
// The same of a process that is traced already.
Result<std::unique_ptr<ProcessImage>> take_image(const procfs::ProcDir& proc, Pid pid,
                                                 const ImageOptions& options,
                                                 const OnTracer& on_tracer);
// A core file (ELF, as the kernel or gcore writes it); `executable` and the files named in NT_FILE
// supply what the core leaves out.
Result<std::unique_ptr<ProcessImage>> open_core(const std::string& core,
                                                const std::string& executable);

}  // namespace memspy::attach

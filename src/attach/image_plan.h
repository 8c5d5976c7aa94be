// What a copy of a process' memory takes, from its mappings and page tables: nothing is read of the
// memory itself, and nothing that is not resident is touched.
#pragma once

#include <cstdint>
#include <vector>

#include "attach/process_image.h"
#include "procfs/pagemap.h"

namespace memspy::attach {

struct CopyRange {
  RemoteAddr start;
  RemoteAddr end;
  // Private pages that a forked relative still has as well. Whoever pins such a page, and
  // process_vm_readv does, makes the kernel give the target a copy of its own: the target's RSS stays
  // what it was, and the host, or the container at its limit, has less memory.
  bool shared = false;
  std::uint64_t size() const { return end.value - start.value; }
};

struct ImagePlan {
  MemoryMap map;
  std::vector<MappedPages> pages;  // one per mapping
  // Ascending, apart or adjacent: pages that only this process has (written private ones), and the
  // resident pages of whatever else it can write without a file behind it.
  std::vector<CopyRange> ranges;
  std::uint64_t copy_bytes = 0;  // of the ranges
  std::uint64_t rss_bytes = 0;   // sum over the mappings
  std::uint64_t swap_bytes = 0;  // of the ranges: reading them swaps them in
  bool huge_known = true;        // false before Linux 6.7: huge_bytes are 0
};

Result<ImagePlan> plan_image(const procfs::ProcDir& proc, Pid pid, const procfs::Pagemap& pagemap);

// True for shared memory that is no file on a disk: its pages are memory whoever maps them.
bool memory_backed(const Mapping& mapping);
// Readable, and neither a device's nor the kernel's own page.
bool readable_memory(const Mapping& mapping);

}  // namespace memspy::attach

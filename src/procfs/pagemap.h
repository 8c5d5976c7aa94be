// /proc/PID/pagemap: which pages of a process are there, and what kind they are. Costs about 40 ms
// per million pages read at once. Needs ptrace access; page frame numbers (bits 0-54) read as 0
// without CAP_SYS_ADMIN and are not used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"

namespace memspy::procfs {

// Bits of an entry (Documentation/admin-guide/mm/pagemap.rst).
inline bool page_present(std::uint64_t entry) { return (entry >> 63 & 1) != 0; }
inline bool page_swapped(std::uint64_t entry) { return (entry >> 62 & 1) != 0; }
inline bool page_file_or_shared(std::uint64_t entry) { return (entry >> 61 & 1) != 0; }
inline bool page_exclusive(std::uint64_t entry) { return (entry >> 56 & 1) != 0; }  // mapped once
inline bool page_soft_dirty(std::uint64_t entry) { return (entry >> 55 & 1) != 0; }

std::uint64_t page_size();

// What PAGEMAP_SCAN can select by; the kernel's PAGE_IS_* bits.
enum PageCategory : std::uint64_t {
  kPageIsFile = 1U << 2,
  kPageIsPresent = 1U << 3,
  kPageIsSwapped = 1U << 4,
  kPageIsZero = 1U << 5,  // the shared zero page: present, costs nothing
  kPageIsHuge = 1U << 6,  // mapped by one entry of 2 MiB (x86-64)
};

struct PageRange {
  RemoteAddr start;
  RemoteAddr end;
  std::uint64_t categories = 0;  // of those that were asked for
  std::uint64_t size() const { return end.value - start.value; }
};

class Pagemap {
 public:
  // Keeps the file open: it stays the one of this memory, and answers "nothing" once the process
  // has ended or has executed another program.
  static Result<Pagemap> open(const ProcDir& proc, Pid pid);

  // Entries of the pages from the one that holds `page` on. Fills a prefix and returns its length:
  // shorter where addresses end, 0 when the process is gone.
  Result<std::size_t> read(RemoteAddr page, std::span<std::uint64_t> entries) const;

  // The ranges of [start, end) (widened to pages) whose pages have all of `wanted` and, unless it
  // is 0, one of `any_of`, ascending; of each the `told` bits. Linux 6.7; kUnsupported before.
  Result<std::vector<PageRange>> scan(RemoteAddr start, RemoteAddr end, std::uint64_t wanted,
                                      std::uint64_t told, std::uint64_t any_of = 0) const;
  // Is the page that holds `address` part of a mapped huge page? kUnsupported as for scan.
  Result<bool> is_huge(RemoteAddr address) const;

 private:
  explicit Pagemap(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace memspy::procfs

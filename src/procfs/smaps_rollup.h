// /proc/PID/smaps_rollup: sums that need a walk of the page tables (about 14 ms per resident GiB,
// under the target's mmap lock): read at most once per second, never while the target is stopped.
#pragma once

#include <cstdint>
#include <string_view>

#include "memspy/result.h"

namespace memspy::procfs {

struct SmapsRollup {
  std::uint64_t rss_bytes = 0;
  std::uint64_t pss_bytes = 0;  // shared pages divided by the number of their users
  std::uint64_t shared_clean_bytes = 0, shared_dirty_bytes = 0;
  std::uint64_t private_clean_bytes = 0, private_dirty_bytes = 0;
  std::uint64_t anonymous_bytes = 0;
  std::uint64_t lazy_free_bytes = 0;  // MADV_FREE: still resident, the kernel may take it
  std::uint64_t anon_huge_bytes = 0;  // in transparent huge pages
  std::uint64_t swap_bytes = 0, swap_pss_bytes = 0;

  // Memory that would be free if the process ended.
  std::uint64_t uss_bytes() const { return private_clean_bytes + private_dirty_bytes; }
};

// Kernel threads and zombies have none: kUnsupported for an empty text. kCorrupt without a Rss
// line.
Result<SmapsRollup> parse_smaps_rollup(std::string_view text);

}  // namespace memspy::procfs

// /proc/PID/maps as the kernel prints it (also the headers of smaps).
#pragma once

#include <string_view>

#include "memspy/memory_map.h"
#include "memspy/result.h"

namespace memspy::procfs {

// Sorted and without overlaps also when the text was read in several pieces while the target mapped
// and unmapped: of two mappings that overlap, the first is kept. kCorrupt names the line that is
// not one; a last line without its newline (a read cut short) is dropped when it does not parse.
Result<MemoryMap> parse_maps(std::string_view text);

}  // namespace memspy::procfs

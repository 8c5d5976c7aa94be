// The page tables of a live process, through /proc/PID/pagemap.
#pragma once

#include <memory>

#include "procfs/proc_dir.h"
#include "sampler/page_ledger.h"

namespace memspy::sampler {

// Never null; where pagemap may not be read every question is answered "not readable".
std::unique_ptr<PageTables> open_page_tables(const procfs::ProcDir& proc, Pid pid);

}  // namespace memspy::sampler

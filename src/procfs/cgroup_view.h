// The memory control group of a process that may be gone, by what was taken down while it lived.
#pragma once

#include <string_view>

#include "memspy/result.h"
#include "procfs/cgroup.h"
#include "procfs/proc_dir.h"

namespace memspy::procfs {

// `cgroup_text` is the text of /proc/PID/cgroup. Groups as memspy sees them: kUnsupported for one
// outside of its cgroup namespace and mounts.
Result<CgroupMemory> cgroup_memory_of(const ProcDir& proc, std::string_view cgroup_text);

}  // namespace memspy::procfs

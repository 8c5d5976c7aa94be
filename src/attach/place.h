// Where memspy stands with regard to a process: on the host, inside of a container, or beside one.
// docs/guides/containers.md has these places.
#pragma once

#include <string>

#include "memspy/address.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {

// "on the host; the process is in container 8f3c…". `in_container`: files say that memspy itself is
// in one, which is not always so where it is.
std::string describe_place(const procfs::ProcDir& proc, Pid pid, bool in_container);

}  // namespace memspy::attach

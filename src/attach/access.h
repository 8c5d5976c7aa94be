// May memspy look into a process; if not, what stands in the way, and what to change. The reasons
// are told from /proc alone, so that a folder of files can play any host; what must be tried for
// real comes in as Attempts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "attach/attempts.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"

namespace memspy::attach {

// `pid` is a process with memory of its own, as its status says, which is returned. Else an error
// with why and hint: kNoSuchProcess (also a zombie, and a thread id), kUnsupported (kernel thread).
// Needs no privileges.
Result<procfs::Status> check_alive(const procfs::ProcDir& proc, Pid pid,
                                   const Attempts& attempts = Attempts::real());

// Unit: memspy may read the memory of `pid` and trace it. Else an error as check_alive
// gives it, kAlreadyTraced or kPermission. A job-stopped process is fine: it is left as it is.
Result<Unit> check_access(const procfs::ProcDir& proc, Pid pid,
                          const Attempts& attempts = Attempts::real());

// Why reading `pid` failed with `err` (an errno, EPERM or EACCES): the most certain of the known
// reasons, as kPermission. For callers whose own attempt failed after check_access had passed.
Error explain_denial(const procfs::ProcDir& proc, Pid pid, int err);

enum class FindingLevel { kOk, kWarn, kFail };
std::string_view finding_level_name(FindingLevel level);  // "ok", "warn", "fail"

struct Finding {
  std::string check;  // "yama", "page faults (user)": stable, short
  FindingLevel level = FindingLevel::kOk;
  std::string evidence;  // what was seen
  std::string remedy;    // what to change; "" when ok
};

// Everything that decides how well memspy can work on `pid`, in the order in which to mend it.
// kFail: memspy cannot work; kWarn: something is worse than it could be. Never stops the target.
std::vector<Finding> diagnose(const procfs::ProcDir& proc, Pid pid,
                              const Attempts& attempts = Attempts::real());

}  // namespace memspy::attach

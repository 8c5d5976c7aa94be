// Which engine: the best that works on this target, and why not a better one.
#pragma once

#include <memory>
#include <string>

#include "attach/bpf_faults.h"
#include "memspy/result.h"
#include "procfs/proc_dir.h"
#include "sampler/session.h"

namespace memspy::sampler {

struct Rung {
  EngineChoice engine = EngineChoice::kRss;  // never kAuto
  std::string reason{};                      // for people: why this one
  std::unique_ptr<attach::BpfFaults> bpf{};  // kBpf: its program, loaded
  bool guarded = false;                      // …with the target traced (TrapGuard)
};

// Tries what can be tried without stopping anything. An engine asked for by name that does not work
// is an error that says why.
Result<Rung> choose_engine(const procfs::ProcDir& proc, Pid pid, const SessionOptions& options);
// For `--mode live`: page faults, and watchpoints beside them, by engine bpf or engine faults.
Result<Rung> choose_live_engine(const procfs::ProcDir& proc, Pid pid,
                                const SessionOptions& options);
// For `--mode alloc`, which has one engine too: a clock of each thread's CPU time.
Result<Rung> choose_alloc_engine(const procfs::ProcDir& proc, Pid pid, EngineChoice wanted);
const char* engine_name(EngineChoice engine);
// Can -n be had with it?
bool has_native_frames(EngineChoice engine);

}  // namespace memspy::sampler

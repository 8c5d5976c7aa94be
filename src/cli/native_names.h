// From recorded addresses of native code to frames with names and lines.
#pragma once

#include <string>
#include <vector>

#include "cli/env.h"
#include "memspy/frame.h"
#include "recording/frame_names.h"
#include "symbolize/symbolizer.h"
#include "unwind/code_map.h"

namespace memspy::cli {

// The functions that a native frame stands for: those inlined there, innermost first, then the one
// they are in. Each keeps the address. Python frames and markers come back as they are.
std::vector<Frame> name_frame(const Frame& frame, symbolize::Symbolizer& symbolizer);

// The names of a profile's native frames, as far as files are at hand; what it has already stays
// where nothing better is found. `modules`: what a run has open; may be null. Says on stderr what
// is missing.
void find_native_names(recording::Profile& profile, const unwind::ModuleStore* modules,
                       const symbolize::SymbolizeOptions& options, Env& env);

// Where the files of a running process are: as it sees them itself, in a container too. Nothing of
// the session's own is used, which belongs to the tracer's thread.
symbolize::SymbolizeOptions files_of(const procfs::ProcDir& proc, Pid pid);

// Names in the place of addresses: those that the recording has, or, `anew` and where it has none
// because the run was cut short, those that are found now.
void show_names(recording::Profile& profile, const symbolize::SymbolizeOptions& options, bool anew,
                Env& env);

// Addresses as they are: what a run that goes on has time for.
void show_addresses(recording::Profile& profile);

// The files that a live look, or a run, has open: they may be gone from where they were.
void offer_modules(const unwind::ModuleStore& modules, symbolize::Symbolizer& symbolizer);

// On stderr: whose names or lines are missing, and what would bring them. One line. `root` stands
// before the files' paths. What was recorded can be named again.
enum class Addresses { kRecorded, kGone };
void tell_missing(const symbolize::Symbolizer& symbolizer, const std::string& root, Env& env,
                  Addresses addresses);

}  // namespace memspy::cli

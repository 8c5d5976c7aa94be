// `memspy report` of a snapshot, and what it has in common with that of a recording.
#pragma once

#include <cstddef>
#include <string>

#include "cli/env.h"
#include "cli/exit_code.h"

namespace memspy::cli {

struct SnapshotReport {
  std::string path;
  std::string format;  // "": text, or by the suffix of the output
  std::string output;
  bool force = false;
  std::size_t limit = 30;
};
Result<ExitCode> report_snapshot(const SnapshotReport& options, bool json, Env& env);

// A suffix that means something to people, and nothing to memspy, is not filled with a text.
Result<Unit> check_suffix(const std::string& path, const std::string& formats);

// A format knows only that its stream has failed. The file knows its name, why, and what is kept of
// it, and says so at its commit().
Result<Unit> left_to_commit(Result<Unit> written);

}  // namespace memspy::cli

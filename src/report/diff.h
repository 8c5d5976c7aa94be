// Two or more recordings of a program side by side: what grew, by how much, at what rate.
#pragma once

#include <string>
#include <vector>

#include "recording/profile.h"
#include "report/display.h"
#include "report/figures.h"
#include "report/groups.h"

namespace memspy::report {

struct DiffInput {
  std::string name;  // as the command line gives it
  const recording::Profile* profile = nullptr;
};

struct DiffCell {
  std::uint64_t own_bytes = 0;
  std::uint64_t cumulative_bytes = 0;
  double bytes_per_minute = 0;  // own
};

struct DiffRow {
  std::string name;
  std::string function;
  std::string file;
  std::int32_t line = 0;
  std::vector<DiffCell> cells;        // by recording
  std::int64_t delta_bytes = 0;       // last - first
  double delta_bytes_per_minute = 0;  // last - first
  bool grew_in_every = false;
};

struct Diff {
  struct Recording {
    std::string name, title, loss;
    RunFigures figures;
  };
  GroupBy by = GroupBy::kFunction;
  std::vector<Recording> recordings;
  std::vector<DiffRow> rows;  // the largest change of the rate first
};

// At least two inputs. Rows are matched by function and full path (and line).
Diff diff_profiles(const std::vector<DiffInput>& inputs, GroupBy by,
                   const recording::StackShape& shape, bool gross);

// "load (app.py) grows by 6.0 MiB/min more than before; …" or that nothing does.
std::string diff_verdict(const Diff& diff);
std::string diff_text(const Diff& diff, const Style& style, std::size_t limit);
// Schema "memspy.diff/1".
std::string diff_json(const Diff& diff);

}  // namespace memspy::report

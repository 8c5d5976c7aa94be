// Two or more recordings of a program side by side: what grew, by how much, at what rate. In mode
// alloc: what spends more time allocating.
#pragma once

#include <optional>
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

// Amounts are bytes, or microseconds of CPU time. Runs differ in length, so rates are compared:
// bytes per minute, or microseconds per second of CPU time in user mode.
struct DiffCell {
  std::uint64_t own = 0;
  std::uint64_t cumulative = 0;
  double rate = 0;            // own
  double standard_error = 0;  // of the rate, for a share that samples tell; 0 of bytes
};

struct DiffRow {
  std::string name;
  std::string function;
  std::string file;
  std::int32_t line = 0;
  std::vector<DiffCell> cells;  // by recording
  std::int64_t delta = 0;       // last - first
  double delta_rate = 0;        // last - first
  // Grew in every recording; in mode alloc: more of the time in each than in the one before.
  bool in_every = false;
  bool clear = false;  // the rate changed by what is worth a word, and not by chance

  double standard_error() const;  // of delta_rate
};

struct Diff {
  struct Recording {
    std::string name, title, loss;
    RunFigures figures;
  };
  GroupBy by = GroupBy::kFunction;
  recording::Measure measure = recording::Measure::kBytes;
  std::vector<Recording> recordings;
  std::vector<DiffRow> rows;  // the largest change of the rate first

  const Recording& first() const { return recordings.front(); }
  const Recording& last() const { return recordings.back(); }
};

// At least two inputs, of one measure. Rows are matched by function and full path (and line). Time
// is charged to the innermost Python frame: below it there is always an allocator.
Diff diff_profiles(const std::vector<DiffInput>& inputs, GroupBy by,
                   const recording::StackShape& shape, recording::Amount amount);

// What --fail-on asked of a comparison, and the answer.
struct AskedCondition {
  std::string condition;  // as typed
  double value = 0;       // what it was compared with
  bool met = false;
};
// "load (app.py) grows by 6.0 MiB/min more than before; …" or that nothing does.
std::string diff_verdict(const Diff& diff);
// What to do about it: mode alloc alone has it, "" else.
std::string diff_advice(const Diff& diff);
std::string diff_text(const Diff& diff, const Style& style, std::size_t limit);
// Schema "memspy.diff/1".
std::string diff_json(const Diff& diff, const std::optional<AskedCondition>& asked = {});

}  // namespace memspy::report

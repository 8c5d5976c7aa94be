#include "report/diff_parts.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "base/duration.h"
#include "recording/shaped.h"
#include "report/file_pairs.h"
#include "report/report.h"

namespace memspy::report {
namespace {

constexpr double kBytesWorthAWord = 64 << 10;  // per minute

// Names are made short over the files of all recordings, so that each is the same in every one.
recording::FileNames common_names(const std::vector<DiffInput>& inputs, bool full) {
  StackTable frames;
  for (const auto& input : inputs) {
    for (std::uint32_t id = 1; id <= input.profile->stacks.frame_count(); ++id) {
      frames.intern(input.profile->stacks.frame(FrameId{id}));
    }
  }
  return {frames, full};
}

std::string name_of(const Group& group, GroupBy by, const recording::FileNames& files) {
  if (group.file.empty()) return group.name;
  if (by == GroupBy::kFile) return files.name(group.file);
  return recording::frame_text(Frame{group.function, group.file, group.line, FrameKind::kPython},
                               files, {});
}

std::set<std::string> files_of(const Groups& groups) {
  std::set<std::string> files;
  for (const Group& group : groups.rows)
    if (!group.file.empty()) files.insert(group.file);
  return files;
}

// The group's key, as it would be if its file were that one.
std::string key_in(const Group& group, const std::string& file) {
  std::string key = group.key;
  const auto at = key.rfind(group.file);
  return at == std::string::npos ? key : key.replace(at, group.file.size(), file);
}

// Samples are few where little is spent: none of them still leaves a doubt.
double error_of_share(std::uint64_t samples, std::uint64_t ticks) {
  const double all = static_cast<double>(ticks);
  const double share = std::min(1.0, (static_cast<double>(samples) + 1) / (all + 2));
  return ticks == 0 ? 0 : std::sqrt(share * (1 - share) / all);
}

void find_rate(DiffCell& cell, const RunFigures& figures, std::uint64_t samples) {
  const bool time = figures.measure == recording::Measure::kMicroseconds;
  const double whole = time ? to_seconds(figures.user_cpu) : figures.minutes();
  cell.rate = whole > 0 ? static_cast<double>(cell.own) / whole : 0;
  if (time && whole > 0) cell.standard_error = 1e6 * error_of_share(samples, figures.ticks);
}

bool in_every(const std::vector<DiffCell>& cells, recording::Measure measure) {
  if (measure == recording::Measure::kBytes)
    return std::all_of(cells.begin(), cells.end(), [](const DiffCell& c) { return c.own > 0; });
  for (std::size_t i = 1; i < cells.size(); ++i)
    if (cells[i].rate <= cells[i - 1].rate) return false;
  return true;
}

void complete(DiffRow& row, recording::Measure measure) {
  const auto& first = row.cells.front();
  const auto& last = row.cells.back();
  row.in_every = in_every(row.cells, measure);
  row.delta = static_cast<std::int64_t>(last.own - first.own);  // wraps, if a file lies that much
  row.delta_rate = last.rate - first.rate;
  const double size = std::abs(row.delta_rate);
  row.clear = measure == recording::Measure::kBytes
                  ? size >= kBytesWorthAWord
                  : size >= std::max(kTimeWorthAWord, kClearErrors * row.standard_error());
}

}  // namespace

double error_of_nothing(const Diff& diff) {
  const auto of = [](const Diff::Recording& recording) {
    return 1e6 * error_of_share(0, recording.figures.ticks);
  };
  return std::hypot(of(diff.first()), of(diff.last()));
}

namespace {

// The recordings' rates, where a row has none: its doubt is that of no samples.
void add_cells(DiffRow& row, const std::vector<Diff::Recording>& recordings) {
  for (const auto& recording : recordings) {
    DiffCell cell;
    find_rate(cell, recording.figures, 0);
    row.cells.push_back(cell);
  }
}

}  // namespace

double DiffRow::standard_error() const {
  return std::hypot(cells.front().standard_error, cells.back().standard_error);
}

Diff diff_profiles(const std::vector<DiffInput>& inputs, GroupBy by,
                   const recording::StackShape& shape, recording::Amount amount) {
  Diff diff;
  diff.by = by;
  diff.measure = inputs.front().profile->measure();
  const bool time = diff.measure == recording::Measure::kMicroseconds;
  for (const auto& input : inputs)
    diff.recordings.push_back({input.name, run_title(*input.profile), loss_line(*input.profile),
                               run_figures(*input.profile)});
  recording::StackShape bare = shape;  // pids and threads differ between runs
  bare.processes = bare.threads = false;
  const auto files = common_names(inputs, shape.full_filenames);
  std::map<std::string, DiffRow> rows;
  std::set<std::string> known;                 // files, of the recordings so far
  std::map<std::string, std::string> aliases;  // of them, by the path that stands for each
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& profile = *inputs[i].profile;
    const Groups groups = group_stacks(recording::shape_stacks(profile, bare, amount), by,
                                       time ? ChargeTo::kInnermostPython : ChargeTo::kInnermost);
    const auto files_here = files_of(groups);
    aliases.merge(pair_files(files_here, known));
    known.insert(files_here.begin(), files_here.end());
    for (const auto& group : groups.rows) {
      const auto alias = aliases.find(group.file);
      const bool renamed = alias != aliases.end() && !files_here.contains(alias->second);
      auto& row = rows[renamed ? key_in(group, alias->second) : group.key];
      if (row.cells.empty()) {
        add_cells(row, diff.recordings);
        row.name = name_of(group, by, files);
        row.function = group.function;
        row.file = group.file;
        row.line = group.line;
      }
      row.cells[i].own = group.own;
      row.cells[i].cumulative = group.cumulative;
      find_rate(row.cells[i], diff.recordings[i].figures, group.samples);
    }
  }
  for (auto& [key, row] : rows) {
    complete(row, diff.measure);
    const bool any = std::any_of(row.cells.begin(), row.cells.end(),
                                 [](const DiffCell& cell) { return cell.own > 0; });
    if (any) diff.rows.push_back(std::move(row));
  }
  std::stable_sort(diff.rows.begin(), diff.rows.end(), [](const DiffRow& a, const DiffRow& b) {
    return std::make_tuple(-std::abs(a.delta_rate), -std::abs(a.delta), a.name) <
           std::make_tuple(-std::abs(b.delta_rate), -std::abs(b.delta), b.name);
  });
  return diff;
}

}  // namespace memspy::report

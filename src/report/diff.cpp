#include "report/diff.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "recording/shaped.h"
#include "report/file_pairs.h"
#include "report/report.h"

namespace memspy::report {
namespace {

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

void complete(DiffRow& row, const std::vector<Diff::Recording>& recordings) {
  row.grew_in_every = true;
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    auto& cell = row.cells[i];
    const double minutes = recordings[i].figures.minutes();
    cell.bytes_per_minute = minutes > 0 ? static_cast<double>(cell.own_bytes) / minutes : 0;
    row.grew_in_every = row.grew_in_every && cell.own_bytes > 0;
  }
  const auto& first = row.cells.front();
  const auto& last = row.cells.back();
  row.delta_bytes =
      static_cast<std::int64_t>(last.own_bytes) - static_cast<std::int64_t>(first.own_bytes);
  row.delta_bytes_per_minute = last.bytes_per_minute - first.bytes_per_minute;
}

}  // namespace

Diff diff_profiles(const std::vector<DiffInput>& inputs, GroupBy by,
                   const recording::StackShape& shape, bool gross) {
  Diff diff;
  diff.by = by;
  recording::StackShape bare = shape;  // pids and threads differ between runs
  bare.processes = bare.threads = false;
  const auto files = common_names(inputs, shape.full_filenames);
  std::map<std::string, DiffRow> rows;
  std::set<std::string> known;                 // files, of the recordings so far
  std::map<std::string, std::string> aliases;  // of them, by the path that stands for each
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& profile = *inputs[i].profile;
    diff.recordings.push_back(
        {inputs[i].name, run_title(profile), loss_line(profile), run_figures(profile)});
    const Groups groups = group_growth(recording::shape_stacks(profile, bare, gross), by);
    const auto files_here = files_of(groups);
    aliases.merge(pair_files(files_here, known));
    known.insert(files_here.begin(), files_here.end());
    for (const auto& group : groups.rows) {
      const auto alias = aliases.find(group.file);
      const bool renamed = alias != aliases.end() && !files_here.contains(alias->second);
      auto& row = rows[renamed ? key_in(group, alias->second) : group.key];
      if (row.cells.empty()) {
        row.cells.resize(inputs.size());
        row.name = name_of(group, by, files);
        row.function = group.function;
        row.file = group.file;
        row.line = group.line;
      }
      row.cells[i].own_bytes = group.own_bytes;
      row.cells[i].cumulative_bytes = group.cumulative_bytes;
    }
  }
  for (auto& [key, row] : rows) {
    complete(row, diff.recordings);
    const bool grew = std::any_of(row.cells.begin(), row.cells.end(),
                                  [](const DiffCell& cell) { return cell.own_bytes > 0; });
    if (grew) diff.rows.push_back(std::move(row));
  }
  std::stable_sort(diff.rows.begin(), diff.rows.end(), [](const DiffRow& a, const DiffRow& b) {
    return std::make_tuple(-std::abs(a.delta_bytes_per_minute), -std::abs(a.delta_bytes), a.name) <
           std::make_tuple(-std::abs(b.delta_bytes_per_minute), -std::abs(b.delta_bytes), b.name);
  });
  return diff;
}

}  // namespace memspy::report

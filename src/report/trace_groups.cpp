#include "report/trace_groups.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>

namespace memspy::report {
namespace {

constexpr std::string_view kNoObject = "[no object]";

// A file is known by its source, whether a pattern or a module names the compiled one.
std::string source_name(std::string name) {
  if (name.ends_with(".pyc")) name.pop_back();
  return name;
}

bool matches(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return ::fnmatch(source_name(pattern).c_str(), name.c_str(), FNM_NOESCAPE) == 0;
  });
}

std::vector<bool> kept_files(const TraceTable& table, const TraceFilter& filter) {
  std::vector<bool> kept;
  kept.reserve(table.files.size());
  for (const std::string& file : table.files) {
    const std::string name = source_name(file);
    kept.push_back((filter.include.empty() || matches(filter.include, name)) &&
                   !matches(filter.exclude, name));
  }
  return kept;
}

// Stacks that make one row get one number; each number's stack is an example of its row.
class StackGroups {
 public:
  StackGroups(const TraceTable& table, TraceGroup by) {
    of_stack_.reserve(table.stacks.size());
    for (std::uint32_t i = 0; i < table.stacks.size(); ++i) {
      const auto [at, added] =
          numbers_.try_emplace(key(table, table.stacks[i], by), examples_.size());
      if (added) examples_.push_back(i);
      of_stack_.push_back(static_cast<std::uint32_t>(at->second));
    }
  }
  std::uint32_t of(std::uint32_t stack) const { return of_stack_[stack]; }
  std::uint32_t example(std::uint32_t group) const { return examples_[group]; }

 private:
  static std::string key(const TraceTable& table, const TraceStack& stack, TraceGroup by) {
    const auto frames = table.frames_of(stack);
    const std::size_t count = by == TraceGroup::kTraceback ? frames.size() : 1;
    std::string key;
    for (const TraceFrame& frame : frames.first(count)) {
      const std::uint32_t line = by == TraceGroup::kFile ? 0 : frame.line;
      key.append(reinterpret_cast<const char*>(&frame.file), sizeof(frame.file));
      key.append(reinterpret_cast<const char*>(&line), sizeof(line));
    }
    return key;
  }

  std::unordered_map<std::string, std::size_t> numbers_;
  std::vector<std::uint32_t> of_stack_, examples_;
};

TraceRow row_of(const TraceTable& table, const TraceStack& stack, TraceGroup by) {
  TraceRow row;
  const auto frames = table.frames_of(stack);
  row.place = by == TraceGroup::kFile ? table.files[frames[0].file] : trace_place(table, frames[0]);
  if (by != TraceGroup::kTraceback) return row;
  for (const TraceFrame& frame : frames.subspan(1))
    row.callers.push_back(trace_place(table, frame));
  return row;
}

void sort_rows(std::vector<TraceRow>& rows) {
  std::sort(rows.begin(), rows.end(), [](const TraceRow& a, const TraceRow& b) {
    if (a.bytes != b.bytes) return a.bytes > b.bytes;
    if (a.count != b.count) return a.count > b.count;
    return std::tie(a.place, a.type, a.callers) < std::tie(b.place, b.type, b.callers);
  });
}

TraceRows group(const TraceTable& table, TraceGroup by, bool types, const TraceFilter& filter) {
  TraceRows result;
  result.by = by;
  const std::vector<bool> kept = kept_files(table, filter);
  const StackGroups groups(table, by);
  std::unordered_map<std::uint64_t, TraceTotals> totals;
  for (const Trace& trace : table.traces) {
    const TraceStack& stack = table.stacks[trace.stack];
    const bool counts = kept[table.frames_of(stack)[0].file];
    TraceTotals& all = counts ? result.total : result.left_out;
    ++all.count;
    all.bytes += trace.bytes;
    if (!counts) continue;
    const std::uint64_t type = types ? trace.type : kNoTraceType;
    TraceTotals& row = totals[type << 32U | groups.of(trace.stack)];
    ++row.count;
    row.bytes += trace.bytes;
  }
  for (const auto& [key, sum] : totals) {
    const auto stack = groups.example(static_cast<std::uint32_t>(key));
    const auto type = static_cast<std::uint32_t>(key >> 32U);
    TraceRow row = row_of(table, table.stacks[stack], by);
    if (types) row.type = type < table.types.size() ? table.types[type] : std::string(kNoObject);
    row.count = sum.count;
    row.bytes = sum.bytes;
    result.rows.push_back(std::move(row));
  }
  sort_rows(result.rows);
  return result;
}

}  // namespace

std::optional<TraceGroup> find_trace_group(std::string_view name) {
  for (const TraceGroup group :
       {TraceGroup::kLine, TraceGroup::kFile, TraceGroup::kTraceback, TraceGroup::kType})
    if (trace_group_name(group) == name) return group;
  return std::nullopt;
}

std::string_view trace_group_name(TraceGroup group) {
  switch (group) {
    case TraceGroup::kLine:
      return "line";
    case TraceGroup::kFile:
      return "file";
    case TraceGroup::kTraceback:
      return "traceback";
    case TraceGroup::kType:
      break;
  }
  return "type";
}

std::string TraceRow::key() const {
  std::string text = type + '\n' + place;
  for (const std::string& caller : callers) text += '\n' + caller;
  return text;
}

std::string trace_place(const TraceTable& table, const TraceFrame& frame) {
  const std::string& file = table.files[frame.file];
  return frame.line == 0 ? file : file + ":" + std::to_string(frame.line);
}

TraceRows group_traces(const TraceTable& table, TraceGroup by, const TraceFilter& filter) {
  return group(table, by, by == TraceGroup::kType, filter);
}

TraceRows group_stacks(const TraceTable& table, bool types, const TraceFilter& filter) {
  return group(table, TraceGroup::kTraceback, types, filter);
}

std::vector<TraceGrowth> compare_traces(const TraceRows& before, const TraceRows& now) {
  std::unordered_map<std::string, TraceGrowth> rows;
  const auto enter = [&](const TraceRow& row, TraceTotals TraceGrowth::*when) {
    TraceGrowth& growth = rows[row.key()];
    growth.row = row;
    (growth.*when).count += row.count;
    (growth.*when).bytes += row.bytes;
  };
  for (const TraceRow& row : before.rows) enter(row, &TraceGrowth::before);
  for (const TraceRow& row : now.rows) enter(row, &TraceGrowth::now);
  std::vector<TraceGrowth> grown;
  for (auto& [key, growth] : rows) {
    growth.grown_bytes = static_cast<std::int64_t>(growth.now.bytes - growth.before.bytes);
    growth.grown_count = static_cast<std::int64_t>(growth.now.count - growth.before.count);
    if (growth.grown_bytes != 0 || growth.grown_count != 0) grown.push_back(std::move(growth));
  }
  std::sort(grown.begin(), grown.end(), [](const TraceGrowth& a, const TraceGrowth& b) {
    const auto size_a = std::abs(a.grown_bytes), size_b = std::abs(b.grown_bytes);
    if (size_a != size_b) return size_a > size_b;
    return a.row.key() < b.row.key();
  });
  return grown;
}

}  // namespace memspy::report

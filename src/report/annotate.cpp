#include "report/annotate.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "recording/text.h"
#include "report/source_files.h"
#include "report/text_table.h"

namespace memspy::report {
namespace {

constexpr std::size_t kFilesNamed = 5;  // where the one that was asked for is not among them

struct LineGrowth {
  std::uint64_t own = 0, with_callees = 0;
};
struct FileGrowth {
  std::uint64_t own = 0;
  std::map<std::int32_t, LineGrowth> lines;
};

// What shares are of.
struct Whole {
  double total = 0;
  recording::Measure measure = recording::Measure::kBytes;
};

std::map<std::string, FileGrowth> growth_by_file(const recording::ShapedProfile& shaped) {
  std::map<std::string, FileGrowth> files;
  for (const auto& row : group_stacks(shaped, GroupBy::kLine, ChargeTo::kInnermostPython).rows) {
    if (row.line <= 0) continue;
    auto& file = files[row.file];
    file.own += row.own;
    auto& line = file.lines[row.line];
    // Two functions may share a line: a comprehension and what holds it. Its cumulative bytes are
    // then those of the outer one, not their sum.
    line.own += row.own;
    line.with_callees = std::max(line.with_callees, row.cumulative);
  }
  return files;
}

bool wanted(const std::string& file, const std::string& only) {
  if (only.empty() || file == only) return true;
  return file.size() > only.size() && file.ends_with(only) &&
         file[file.size() - only.size() - 1] == '/';
}

// The lines to print: those that grew and `context` around them; all of them for 0.
std::vector<bool> visible_lines(const FileGrowth& growth, std::size_t count, std::size_t context) {
  std::vector<bool> visible(count + 1, context == 0);
  for (const auto& [line, bytes] : growth.lines) {
    const auto at = static_cast<std::size_t>(line);
    const std::size_t first = at > context ? at - context : 1;
    for (std::size_t i = first; i <= std::min(at + context, count); ++i) visible[i] = true;
  }
  return visible;
}

void add_line(TextTable& table, std::size_t number, const FileGrowth& growth, const Whole& whole,
              const std::string& text) {
  const auto found = growth.lines.find(static_cast<std::int32_t>(number));
  if (found == growth.lines.end()) {
    table.add({std::to_string(number), "", "", "", text});
    return;
  }
  const auto& bytes = found->second;
  table.add({std::to_string(number),
             bytes.own == 0 ? "" : recording::format_amount(whole.measure, bytes.own),
             recording::format_amount(whole.measure, bytes.with_callees),
             bytes.own == 0 ? "" : percent(static_cast<double>(bytes.own), whole.total), text});
}

std::string annotated_file(const std::string& file, const FileGrowth& growth, const Whole& whole,
                           const std::optional<Source>& source, const ReportOptions& options,
                           const AnnotateOptions& annotate) {
  std::string text = bold(options.style, "Filename: " + recording::escape_text(file)) + "\n";
  TextTable table({{"Line #"},
                   {recording::word_of(whole.measure, "Growth", "Allocating", "Temporary")},
                   {"With calls"},
                   {"Share"},
                   {"Line Contents", Align::kLeft}});
  if (!source.has_value()) {
    text += "the source cannot be read here: give a folder that has it\n";
    for (const auto& [line, bytes] : growth.lines) {
      add_line(table, static_cast<std::size_t>(line), growth, whole, "");
    }
    return text + table.render(options.style) + "\n";
  }
  if (source->path != file)
    text += fmt::format("source: {}\n", recording::escape_text(source->path));
  const std::size_t count = source->lines.size();
  if (source->newer || static_cast<std::size_t>(growth.lines.rbegin()->first) > count) {
    text += "the source is newer than the run: lines may have moved\n";
  }
  const auto visible = visible_lines(growth, count, annotate.context);
  for (std::size_t number = 1; number <= count; ++number) {
    if (visible[number]) {
      add_line(table, number, growth, whole, source->lines[number - 1]);
    } else if (visible[number - 1] && number > 1) {
      table.add({"...", "", "", "", ""});
    }
  }
  for (const auto& [line, bytes] : growth.lines) {
    const auto number = static_cast<std::size_t>(line);
    if (number > count) add_line(table, number, growth, whole, "(beyond the end of the source)");
  }
  return text + table.render(options.style) + "\n";
}

// The name may be mistyped: what could have been meant is said with it.
std::string nothing_grew(const std::map<std::string, FileGrowth>& files, const std::string& only,
                         recording::Measure measure) {
  const char* did = recording::word_of(measure, "grew", "allocated", "made temporaries");
  if (only.empty()) return fmt::format("no line of a source file {}\n", did);
  std::vector<std::pair<std::uint64_t, std::string>> others;
  for (const auto& [file, growth] : files) {
    if (growth.own > 0) others.emplace_back(growth.own, recording::escape_text(file));
  }
  std::sort(others.rbegin(), others.rend());
  std::string text = fmt::format("no line of {} {}", recording::escape_text(only), did);
  if (others.empty()) return text + ", nor one of another file\n";
  text += "; these files did:\n";
  for (std::size_t i = 0; i < std::min(others.size(), kFilesNamed); ++i)
    text += fmt::format("  {}  {}\n", recording::format_amount(measure, others[i].first),
                        others[i].second);
  return text;
}

using FileOrder = std::vector<const std::pair<const std::string, FileGrowth>*>;

// Those that grew, the one that grew most first.
FileOrder files_in_order(const std::map<std::string, FileGrowth>& files, const std::string& only) {
  FileOrder order;
  for (const auto& file : files)
    if (file.second.own > 0 && wanted(file.first, only)) order.push_back(&file);
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return a->second.own > b->second.own; });
  return order;
}

bool is_python_source(const std::string& path) {
  const std::string suffix = std::filesystem::path(path).extension();
  return suffix == ".py" || suffix == ".pyw" || suffix == ".pyx" || suffix == ".pyi";
}

}  // namespace

std::string report_annotated(const recording::Profile& profile, const ReportOptions& options,
                             const AnnotateOptions& annotate) {
  recording::StackShape shape;  // lines are what this is about, whatever the flags
  const auto shaped = recording::shape_stacks(profile, shape, options.amount);
  const auto files = growth_by_file(shaped);
  const FileOrder order = files_in_order(files, annotate.only_file);
  std::string text = report_head(profile, options);
  if (order.empty()) text += nothing_grew(files, annotate.only_file, shaped.measure);
  for (std::size_t i = 0; i < order.size() && i < annotate.max_files; ++i) {
    const auto& [file, growth] = *order[i];
    const auto source = find_source(file, annotate.source_roots, profile.header.wall_start);
    text += annotated_file(file, growth, {static_cast<double>(shaped.total), shaped.measure},
                           source, options, annotate);
  }
  if (order.size() > annotate.max_files) {
    text += fmt::format("and {} more files\n", order.size() - annotate.max_files);
  }
  // The last table already ends in an empty line.
  const std::string foot = report_foot(profile, options);
  return text + (order.empty() ? foot : foot.substr(1));
}

std::vector<SourceExcerpt> source_excerpts(const recording::Profile& profile,
                                           const AnnotateOptions& annotate) {
  const auto files = growth_by_file(recording::shape_stacks(profile, {}));
  std::vector<SourceExcerpt> excerpts;
  for (const auto* entry : files_in_order(files, annotate.only_file)) {
    if (excerpts.size() >= annotate.max_files) break;
    const auto& [file, growth] = *entry;
    const auto source =
        find_source(file, annotate.source_roots, profile.header.wall_start, is_python_source);
    if (!source.has_value()) continue;
    const std::size_t count = source->lines.size();
    const auto visible = visible_lines(growth, count, annotate.context);
    SourceExcerpt excerpt{file, source->newer, {}};
    for (std::size_t number = 1; number <= count; ++number)
      if (visible[number])
        excerpt.lines.emplace_back(static_cast<std::int32_t>(number), source->lines[number - 1]);
    excerpts.push_back(std::move(excerpt));
  }
  return excerpts;
}

}  // namespace memspy::report

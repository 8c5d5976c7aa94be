#include "report/annotate.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/file.h"
#include "recording/text.h"
#include "report/text_table.h"

namespace memspy::report {
namespace {

constexpr std::size_t kMaxSourceBytes = 16U << 20;
constexpr std::size_t kTabWidth = 8;
constexpr std::size_t kFilesNamed = 5;  // where the one that was asked for is not among them

struct LineGrowth {
  std::uint64_t own = 0, with_callees = 0;
};
struct FileGrowth {
  std::uint64_t own = 0;
  std::map<std::int32_t, LineGrowth> lines;
};

struct Source {
  std::string path;
  std::vector<std::string> lines;
  bool newer = false;  // than the run's start
};

std::map<std::string, FileGrowth> growth_by_file(const recording::ShapedProfile& shaped) {
  std::map<std::string, FileGrowth> files;
  for (const auto& row : group_growth(shaped, GroupBy::kLine, ChargeTo::kInnermostPython).rows) {
    if (row.line <= 0) continue;
    auto& file = files[row.file];
    file.own += row.own_bytes;
    auto& line = file.lines[row.line];
    // Two functions may share a line: a comprehension and what holds it. Its cumulative bytes are
    // then those of the outer one, not their sum.
    line.own += row.own_bytes;
    line.with_callees = std::max(line.with_callees, row.cumulative_bytes);
  }
  return files;
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line;
    for (const char c : text.substr(at, end - at)) {
      if (c == '\t') {
        line.append(kTabWidth - line.size() % kTabWidth, ' ');
      } else if (c != '\r') {
        line.push_back(c);
      }
    }
    lines.push_back(recording::escape_text(line));
    at = end + 1;
  }
  return lines;
}

// The path itself, then under each root its longest tail that exists: a container's /srv/app/x.py
// is app/x.py or x.py in a checkout.
std::vector<std::string> candidates(const std::string& file,
                                    const std::vector<std::string>& roots) {
  std::vector<std::string> paths{file};
  for (const auto& root : roots) {
    for (std::size_t at = 0; at != std::string::npos && at < file.size();) {
      const std::size_t from = file[at] == '/' ? at + 1 : at;
      paths.push_back(root + "/" + file.substr(from));
      at = file.find('/', from);
    }
  }
  return paths;
}

std::optional<Source> find_source(const std::string& file, const std::vector<std::string>& roots,
                                  std::chrono::nanoseconds run_start) {
  for (const auto& path : candidates(file, roots)) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const auto text = read_file(path, kMaxSourceBytes);
    if (!text.has_value()) continue;
    Source source{path, split_lines(*text)};
    source.newer = std::chrono::seconds(info.st_mtim.tv_sec) > run_start;
    return source;
  }
  return std::nullopt;
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

void add_line(TextTable& table, std::size_t number, const FileGrowth& growth, double total,
              const std::string& text) {
  const auto found = growth.lines.find(static_cast<std::int32_t>(number));
  if (found == growth.lines.end()) {
    table.add({std::to_string(number), "", "", "", text});
    return;
  }
  const auto& bytes = found->second;
  table.add({std::to_string(number), bytes.own == 0 ? "" : format_bytes(bytes.own),
             format_bytes(bytes.with_callees),
             bytes.own == 0 ? "" : percent(static_cast<double>(bytes.own), total), text});
}

std::string annotated_file(const std::string& file, const FileGrowth& growth, double total,
                           const std::optional<Source>& source, const ReportOptions& options,
                           const AnnotateOptions& annotate) {
  std::string text = bold(options.style, "Filename: " + recording::escape_text(file)) + "\n";
  TextTable table(
      {{"Line #"}, {"Growth"}, {"With calls"}, {"Share"}, {"Line Contents", Align::kLeft}});
  if (!source.has_value()) {
    text += "the source cannot be read here: give a folder that has it\n";
    for (const auto& [line, bytes] : growth.lines) {
      add_line(table, static_cast<std::size_t>(line), growth, total, "");
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
      add_line(table, number, growth, total, source->lines[number - 1]);
    } else if (visible[number - 1] && number > 1) {
      table.add({"...", "", "", "", ""});
    }
  }
  for (const auto& [line, bytes] : growth.lines) {
    const auto number = static_cast<std::size_t>(line);
    if (number > count) add_line(table, number, growth, total, "(beyond the end of the source)");
  }
  return text + table.render(options.style) + "\n";
}

// The name may be mistyped: what could have been meant is said with it.
std::string nothing_grew(const std::map<std::string, FileGrowth>& files, const std::string& only) {
  if (only.empty()) return "no line of a source file grew\n";
  std::vector<std::pair<std::uint64_t, std::string>> others;
  for (const auto& [file, growth] : files) {
    if (growth.own > 0) others.emplace_back(growth.own, recording::escape_text(file));
  }
  std::sort(others.rbegin(), others.rend());
  std::string text = fmt::format("no line of {} grew", recording::escape_text(only));
  if (others.empty()) return text + ", nor one of another file\n";
  text += "; these files did:\n";
  for (std::size_t i = 0; i < std::min(others.size(), kFilesNamed); ++i)
    text += fmt::format("  {}  {}\n", format_bytes(others[i].first), others[i].second);
  return text;
}

}  // namespace

std::string report_annotated(const recording::Profile& profile, const ReportOptions& options,
                             const AnnotateOptions& annotate) {
  recording::StackShape shape;  // lines are what this is about, whatever the flags
  const auto shaped = recording::shape_stacks(profile, shape, options.gross);
  const auto files = growth_by_file(shaped);
  std::vector<const std::pair<const std::string, FileGrowth>*> order;
  for (const auto& file : files) {
    if (file.second.own > 0 && wanted(file.first, annotate.only_file)) order.push_back(&file);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return a->second.own > b->second.own; });
  std::string text = report_head(profile, options);
  if (order.empty()) text += nothing_grew(files, annotate.only_file);
  for (std::size_t i = 0; i < order.size() && i < annotate.max_files; ++i) {
    const auto& [file, growth] = *order[i];
    const auto source = find_source(file, annotate.source_roots, profile.header.wall_start);
    text += annotated_file(file, growth, static_cast<double>(shaped.total_bytes), source, options,
                           annotate);
  }
  if (order.size() > annotate.max_files) {
    text += fmt::format("and {} more files\n", order.size() - annotate.max_files);
  }
  // The last table already ends in an empty line.
  const std::string foot = report_foot(profile, options);
  return text + (order.empty() ? foot : foot.substr(1));
}

}  // namespace memspy::report

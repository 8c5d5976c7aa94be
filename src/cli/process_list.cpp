#include "cli/process_list.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>

#include "base/byte_units.h"
#include "cli/hints.h"
#include "cli/process_facts.h"
#include "report/display.h"

namespace memspy::cli {
namespace {

constexpr std::size_t kShortestCommand = 20;  // a narrower terminal cuts the line itself

std::string growth_text(const std::optional<double>& per_minute) {
  if (!per_minute) return "-";
  return format_signed_bytes(static_cast<std::int64_t>(*per_minute));
}

// The figures stand; what does not fit is cut out of the middle of the command.
std::string row_text(const ProcessRow& row, std::size_t width) {
  const std::string figures =
      fmt::format("{:>8} {:<10.10} {:<7} {:>9} {:>9} {:>11}  {:<12.12} ", row.pid.value, row.user,
                  row.version.empty() ? "-" : row.version, format_bytes(row.rss_bytes),
                  row.pss_bytes ? format_bytes(*row.pss_bytes) : "-",
                  growth_text(row.growth_per_minute), row.container.empty() ? "-" : row.container);
  const std::string command = printable(row.command);
  if (width == 0) return figures + command;
  const std::size_t space = std::max(width, figures.size() + kShortestCommand) - figures.size();
  return figures + report::clip_middle(command, space, /*ascii=*/false);
}

// The row whose number was typed, counted from 1, or whose PID was.
const ProcessRow* chosen(const std::vector<ProcessRow>& rows, const std::string& typed) {
  int number = 0;
  const auto [end, error] = std::from_chars(typed.data(), typed.data() + typed.size(), number);
  if (error != std::errc{} || end != typed.data() + typed.size()) return nullptr;
  if (number >= 1 && static_cast<std::size_t>(number) <= rows.size())
    return &rows[static_cast<std::size_t>(number) - 1];
  for (const ProcessRow& row : rows)
    if (row.pid.value == number) return &row;
  return nullptr;
}

Result<Pid> ask(const std::vector<ProcessRow>& rows, Env& env) {
  const auto table = process_table(rows, 0);
  env.err << "      " << table.front() << '\n';
  for (std::size_t i = 0; i < rows.size(); ++i)
    env.err << fmt::format("{:>4}) {}\n", i + 1, table[i + 1]);
  for (;;) {
    env.err << fmt::format("Which one? [1-{}] ", rows.size()) << std::flush;
    std::string typed;
    if (!std::getline(env.in, typed) || typed == "q") return usage_error("no process was chosen");
    if (const ProcessRow* row = chosen(rows, typed)) return row->pid;
  }
}

}  // namespace

std::vector<std::string> process_table(const std::vector<ProcessRow>& rows, std::size_t width) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{:>8} {:<10} {:<7} {:>9} {:>9} {:>11}  {:<12} {}", "PID", "USER",
                              "PYTHON", "RSS", "PSS", "GROWTH/min", "CONTAINER", "COMMAND"));
  for (const ProcessRow& row : rows) lines.push_back(row_text(row, width));
  return lines;
}

Result<Pid> resolve_target(const TargetOptions& options, Env& env) {
  if (options.pid) return *options.pid;
  const std::vector<ProcessRow> rows = env.list_python();
  if (rows.empty())
    return usage_error("no PID was given, and no Python process was found on this host",
                       "memspy sees the processes of its own PID namespace only",
                       "memspy VERB -p PID, or memspy record -- CMD…");
  if (rows.size() == 1) {
    say(env, fmt::format("taking the only Python process: {} ({})", rows.front().pid.value,
                         printable(rows.front().command)));
    return rows.front().pid;
  }
  if (env.in_terminal && env.err_terminal) return ask(rows, env);
  std::string list;
  for (const std::string& line : process_table(rows, 120))
    list += (list.empty() ? "" : "\n") + line;
  return usage_error(
      fmt::format("no PID was given, and there are {} Python processes", rows.size()), list,
      "give one of them with -p PID");
}

}  // namespace memspy::cli

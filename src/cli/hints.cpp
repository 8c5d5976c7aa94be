#include "cli/hints.h"

#include <array>
#include <cstring>

#include "cli/exit_code.h"

namespace memspy::cli {
namespace {

struct Row {
  Errc code;
  ExitCode exit;
  std::string_view hint;
};

// The one table of what becomes of an error at the end of memspy.
constexpr std::array kTable{
    Row{Errc::kInternal, ExitCode::kError, "run it again with -v, and report what it prints"},
    Row{Errc::kUsage, ExitCode::kUsage, "memspy --help"},
    Row{Errc::kNoSuchProcess, ExitCode::kNoSuchProcess,
        "memspy top lists the Python processes of this host; a PID from inside a container is "
        "another one out here"},
    Row{Errc::kPermission, ExitCode::kPermission, "memspy doctor PID says exactly what to change"},
    Row{Errc::kUnsupported, ExitCode::kNotPython,
        "memspy doctor PID lists what was tried and seen"},
    Row{Errc::kTargetGone, ExitCode::kTargetGone,
        "memspy record -- CMD… starts a command and samples it from birth"},
    Row{Errc::kOutput, ExitCode::kOutput, "choose another place with -o, or make room"},
    Row{Errc::kAlreadyTraced, ExitCode::kAlreadyTraced, "end the other tracer first"},
    Row{Errc::kUnreadable, ExitCode::kError, "try again: the target may just have been starting"},
    Row{Errc::kCorrupt, ExitCode::kError, ""},
    Row{Errc::kTimeout, ExitCode::kError, "try again, or see memspy doctor PID"},
};

const Row& row_of(Errc code) {
  for (const Row& row : kTable)
    if (row.code == code) return row;
  return kTable.front();
}

void append_line(std::string& text, std::string_view label, std::string_view body) {
  if (body.empty()) return;
  text += "  ";
  text += label;
  for (std::size_t start = 0; start <= body.size();) {
    const std::size_t end = std::min(body.find('\n', start), body.size());
    if (start > 0) text += "        ";
    text += body.substr(start, end - start);
    text += '\n';
    start = end + 1;
  }
}

}  // namespace

ExitCode exit_code_for(Errc code) { return row_of(code).exit; }

std::string_view default_hint(Errc code) { return row_of(code).hint; }

std::string format_error(const Error& error) {
  std::string text = "memspy: " + error.message;
  if (error.sys != 0)
    text += std::string(": ") + std::strerror(error.sys);  // NOLINT(concurrency-mt-unsafe)
  text += '\n';
  std::string why = error.why;
  for (const std::string& noun : error.context) why += (why.empty() ? "while " : "; while ") + noun;
  append_line(text, "why:  ", why);
  append_line(text, "try:  ", error.hint.empty() ? default_hint(error.code) : error.hint);
  return text;
}

void print_error(std::ostream& err, const Error& error) {
  err << format_error(error) << std::flush;
}

Error usage_error(std::string message, std::string why, std::string hint) {
  Error error = make_error(Errc::kUsage, std::move(message));
  error.why = std::move(why);
  error.hint = std::move(hint);
  return error;
}

}  // namespace memspy::cli

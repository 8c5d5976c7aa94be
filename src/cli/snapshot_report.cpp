#include "cli/snapshot_report.h"

#include <filesystem>

#include "cli/heap_source.h"
#include "cli/hints.h"
#include "cli/page_request.h"
#include "cli/report_options.h"
#include "recording/summary_json.h"
#include "report/heap_text.h"
#include "sinks/output_file.h"
#include "sinks/snapshot_formats.h"

namespace memspy::cli {
namespace {

std::string snapshot_format_names() {
  std::string names = "text, json";
  for (const auto& format : sinks::snapshot_formats()) names += ", " + std::string(format.name);
  return names;
}

// "text", "json", or a format of the table.
Result<std::string> snapshot_format(const SnapshotReport& options, bool json) {
  if (json) return std::string("json");
  const std::string& asked = options.format;
  if (asked == "text" || asked == "json") return asked;
  if (!asked.empty()) {
    if (sinks::find_snapshot_format(asked) != nullptr) return asked;
    return usage_error("a snapshot has no format \"" + asked + "\"",
                       "formats are " + snapshot_format_names());
  }
  const auto* by_suffix = sinks::find_snapshot_format_for(options.output);
  if (by_suffix != nullptr) return std::string(by_suffix->name);
  if (options.output.ends_with(".json")) return std::string("json");
  MEMSPY_CHECK(check_suffix(options.output, snapshot_format_names()));
  return std::string("text");
}

}  // namespace

Result<Unit> check_suffix(const std::string& path, const std::string& formats) {
  const std::string suffix = std::filesystem::path(path).extension();
  for (const char* text : {"", ".txt", ".text", ".log", ".md"})
    if (suffix == text) return Unit{};
  return usage_error("the suffix of \"" + path + "\" names no format", "formats are " + formats,
                     "say which with -f");
}

Result<Unit> left_to_commit(Result<Unit> written) {
  if (!written.has_value() && written.error().code == Errc::kOutput) return Unit{};
  return written;
}

Result<ExitCode> report_snapshot(const SnapshotReport& options, bool json, Env& env) {
  MEMSPY_TRY(format, snapshot_format(options, json));
  MEMSPY_TRY(file, sinks::OutputFile::open(options.output, options.force, env.out));
  MEMSPY_TRY(heap, open_snapshot_file(options.path, env));
  report::HeapReportOptions shape;
  shape.limit = options.limit;
  shape.style = report_style(options.output == "-", env);
  if (format == "json") {
    file.stream() << recording::json_text(report::heap_json(heap.look(), shape, heap.verdict()));
  } else if (format == "text") {
    file.stream() << report::heap_text(heap.look(), shape, heap.verdict());
  } else {
    MEMSPY_CHECK(left_to_commit(sinks::find_snapshot_format(format)->write(
        heap.look(), heap_format_options(heap), file.stream())));
  }
  MEMSPY_TRY(path, file.commit({}));
  if (path != "-") say(env, "wrote " + path);
  return ExitCode::kOk;
}

}  // namespace memspy::cli

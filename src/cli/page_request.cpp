#include "cli/page_request.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include <nlohmann/json.hpp>

#include "cli/hints.h"
#include "cli/report_options.h"
#include "daemon/alert_history.h"
#include "recording/summary_json.h"
#include "report/diff.h"
#include "report/heap_text.h"

namespace memspy::cli {
namespace {

constexpr std::size_t kLargestObjects = 100;
constexpr std::size_t kLongestLog = 64U << 20;  // of its end

bool has_process(const recording::Profile& run, const ProcessIdentity& wanted) {
  return std::any_of(run.processes.begin(), run.processes.end(), [&](const ProcessRecord& process) {
    const ProcessIdentity& identity = process.identity;
    // A core file does not know when its process began.
    const bool known = wanted.start_ticks != 0 && identity.start_ticks != 0;
    return identity.pid == wanted.pid && (!known || identity == wanted);
  });
}

// "": the snapshot is of a process of the recording, or does not say of which it is.
std::string stranger_text(const recording::Profile& run, const snapshot::Header& heap) {
  const ProcessIdentity& process = heap.process;
  if (process.pid.value == 0 || run.processes.empty() || has_process(run, process)) return "";
  const ProcessIdentity& other = run.processes.front().identity;
  const auto name = [](const ProcessIdentity& of) {
    return fmt::format("process {} (start time {})", of.pid.value, of.start_ticks);
  };
  return fmt::format("the snapshot is of {}, the recording of {}: two different processes",
                     name(process), name(other));
}

Result<std::vector<sinks::PageAlert>> alerts_of(const recording::Profile& run,
                                                const std::string& log) {
  std::vector<sinks::PageAlert> alerts;
  if (log.empty()) return alerts;
  MEMSPY_TRY(past, daemon::read_past_alerts(log, kLongestLog));
  for (daemon::PastAlert& each : past)
    if (has_process(run, each.target)) alerts.push_back(std::move(each.alert));
  return alerts;
}

}  // namespace

sinks::SnapshotFormatOptions heap_format_options(const OpenedHeap& heap) {
  sinks::SnapshotFormatOptions options;
  options.document = [&heap](const snapshot::Look& look) {
    report::HeapReportOptions shape;
    shape.largest = kLargestObjects;
    return recording::json_line(report::heap_json(look, shape, heap.verdict()));
  };
  return options;
}

sinks::PageParts page_parts(const PageRequest& request, std::optional<snapshot::Look>& look) {
  sinks::PageParts parts;
  parts.run = request.run;
  parts.base = request.base;
  if (request.base != nullptr && request.run != nullptr)
    parts.comparison = report::diff_verdict(report::diff_profiles(
        {{"before", request.base}, {"now", request.run}}, report::GroupBy::kFunction,
        request.shape.shape, request.shape.amount));
  parts.options = format_options(request.shape);
  if (!request.lead.empty() && parts.options.words) {
    parts.options.words = [lead = request.lead, words = std::move(parts.options.words)](
                              const auto& profile, const auto& shape) {
      sinks::RunWords with_lead = words(profile, shape);
      with_lead.verdict = lead + " \u2014 " + with_lead.verdict;
      return with_lead;
    };
  }
  parts.alerts = request.alerts;
  parts.warning = request.warning;
  if (request.heap != nullptr) {
    look = request.heap->look();
    parts.heap = &*look;
    parts.heap_document = heap_format_options(*request.heap).document(*look);
  }
  if (request.run != nullptr && request.sources) {
    for (auto& excerpt : report::source_excerpts(*request.run, *request.sources)) {
      sinks::PageSource source{std::move(excerpt.file), excerpt.newer, {}};
      for (auto& [number, text] : excerpt.lines) source.lines.push_back({number, std::move(text)});
      parts.sources.push_back(std::move(source));
    }
  }
  return parts;
}

Result<Unit> write_page(const PageRequest& request, std::ostream& out) {
  std::optional<snapshot::Look> look;
  return sinks::write_page(page_parts(request, look), out);
}

Result<Unit> write_page(const PageFiles& files, std::ostream& out, Env& env) {
  std::vector<recording::Profile> runs;
  std::string first;  // of the recordings
  std::optional<OpenedHeap> heap;
  for (const std::string& path : files.paths) {
    if (is_snapshot_file(path)) {
      if (heap) return usage_error("a page shows one snapshot", "", "memspy diff compares them");
      MEMSPY_TRY(opened, open_snapshot_file(path, env));
      heap = std::move(opened);
    } else {
      if (runs.size() == 2) return usage_error("a page shows two recordings at most");
      MEMSPY_TRY(profile, files.load(path));
      if (!runs.empty()) MEMSPY_CHECK(check_same_mode({first, &runs.front()}, {path, &profile}));
      if (runs.empty()) first = path;
      runs.push_back(std::move(profile));
    }
  }
  PageRequest page;
  if (!runs.empty()) page.run = &runs.back();
  if (runs.size() == 2) page.base = &runs.front();
  if (heap) page.heap = &*heap;
  page.shape = files.shape;
  page.sources = files.sources;
  page.lead = files.lead;
  if (page.run != nullptr) {
    MEMSPY_TRY(alerts, alerts_of(*page.run, files.alerts));
    page.alerts = std::move(alerts);
    if (heap) page.warning = stranger_text(*page.run, heap->snapshot.header);
  } else if (!files.alerts.empty()) {
    return usage_error("--alerts is for a recording", "they are marked in its time series");
  }
  if (!page.warning.empty()) say(env, "warning: " + page.warning);
  return write_page(page, out);
}

}  // namespace memspy::cli

#include "cli/attach_alert.h"

#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>

#include "base/byte_units.h"
#include "cli/options.h"

namespace memspy::cli {
namespace {

using C = SeriesColumn;

daemon::AlertFigures figures_of(const TopModel& model) {
  daemon::AlertFigures figures;
  figures.rss = model.figure(C::kRssBytes);
  figures.pss = model.figure(C::kPssBytes);
  figures.uss = model.figure(C::kUssBytes);
  figures.swap = model.figure(C::kSwapBytes);
  figures.threads = model.figure(C::kThreads);
  figures.open_files = model.figure(C::kOpenFiles);
  figures.heap_used = model.figure(C::kPymallocUsedBytes);
  figures.heap_objects = model.figure(C::kPymallocUsedBlocks);
  figures.limit = model.figure(C::kCgroupLimitBytes);
  figures.usage = model.figure(C::kCgroupUsageBytes);
  figures.growth_per_minute = model.growth_per_minute();
  return figures;
}

std::string bytes_text(double bytes) {
  return format_bytes(static_cast<std::uint64_t>(std::max(bytes, 0.0)));
}

}  // namespace

void add_attach_alert(CLI::App& app, AttachAlertOptions& options) {
  app.add_option_function<std::string>(
         "--alert",
         [&options](const std::string& text) {
           auto alert = daemon::parse_alert(text);
           if (!alert.has_value())
             throw CLI::ValidationError("--alert",
                                        alert.error().message + ": " + alert.error().why);
           options.alert = std::move(*alert);
         },
         "Say when this holds: rss > 500MiB, growth > 50MiB/min for 5m")
      ->type_name("EXPR");
  add_duration(app, "--report-interval", options.report_interval, /*bare_seconds=*/true,
               "A status line this often, whatever the interval of looks");
}

AttachAlert::AttachAlert(const AttachAlertOptions& options) : options_(options) {
  // For one process at a terminal nothing has to cool down: what changes is said.
  if (options_.alert) state_.emplace(options_.alert->hold, std::chrono::nanoseconds(0));
}

std::string AttachAlert::update(std::chrono::nanoseconds time, const TopModel& model) {
  const auto rss = model.figure(C::kRssBytes);
  if (rss) {
    last_bytes_ = *rss;
    peak_bytes_ = std::max(peak_bytes_, *rss);
    sum_bytes_ += *rss;
    ++readings_;
  }
  if (!state_) return "";
  daemon::AlertFigures figures = figures_of(model);
  const auto rate = [time](daemon::RateWindow& window, const std::optional<double>& figure) {
    if (figure) window.add(SteadyTime(time), *figure);
    return figure ? window.per_minute() : std::nullopt;
  };
  figures.heap_growth_per_minute = rate(heap_, figures.heap_used);
  figures.objects_growth_per_minute = rate(objects_, figures.heap_objects);
  figures.usage_growth_per_minute = rate(group_, figures.usage);
  value_ = daemon::measure(*options_.alert, figures);
  switch (state_->update(SteadyTime(time), daemon::holds(*options_.alert, figures))) {
    case daemon::AlertState::Event::kFire:
      ++fired_;
      return "firing";
    case daemon::AlertState::Event::kResolve:
      return "resolved";
    case daemon::AlertState::Event::kNone:
      break;
  }
  return "";
}

bool AttachAlert::report_due(std::chrono::nanoseconds time) {
  if (!options_.report_interval) return true;
  if (time < next_report_) return false;
  const auto interval = *options_.report_interval;
  next_report_ += interval * (1 + (time - next_report_) / interval);
  return true;
}

std::string AttachAlert::text(const std::string& state) const {
  return fmt::format("ALERT {}: {} at RSS {}", options_.alert->text, state,
                     bytes_text(last_bytes_));
}

Json AttachAlert::json(const std::string& state) const {
  Json json;
  json["when"] = options_.alert->text;
  json["state"] = state;
  json["value"] = value_ ? Json(*value_) : Json(nullptr);
  json["rss_bytes"] = std::llround(last_bytes_);
  return json;
}

std::string AttachAlert::summary() const {
  if (!options_.alert || readings_ == 0) return "";
  return fmt::format("RSS {}, peak {}, average {} of {} readings; {} fired {}",
                     bytes_text(last_bytes_), bytes_text(peak_bytes_),
                     bytes_text(sum_bytes_ / static_cast<double>(readings_)), readings_,
                     options_.alert->text, fired_ == 1 ? "once" : fmt::format("{} times", fired_));
}

Json AttachAlert::summary_json() const {
  if (!options_.alert || readings_ == 0) return nullptr;
  Json json;
  json["when"] = options_.alert->text;
  json["fired"] = fired_;
  json["readings"] = readings_;
  json["rss_bytes"] = std::llround(last_bytes_);
  json["rss_peak_bytes"] = std::llround(peak_bytes_);
  json["rss_average_bytes"] = std::llround(sum_bytes_ / static_cast<double>(readings_));
  return json;
}

}  // namespace memspy::cli

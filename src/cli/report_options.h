// What report and diff have in common on the command line.
#pragma once

#include "cli/options.h"
#include "report/diff.h"
#include "report/report.h"
#include "sinks/sink_registry.h"

namespace memspy::cli {

struct ReportChoices {
  report::GroupBy by = report::GroupBy::kLine;
  report::SortBy sort = report::SortBy::kOwn;
  std::size_t limit = 30;
  ShapeOptions shape;
};

void add_by(CLI::App& app, report::GroupBy& by, const std::string& description);
void add_limit(CLI::App& app, std::size_t& limit);
void add_report_choices(CLI::App& app, ReportChoices& choices);

// `to_terminal`: the text goes to stdout, so the terminal's width and colours count.
report::Style report_style(bool to_terminal, const Env& env);
report::ReportOptions report_options(const ReportChoices& choices, bool to_terminal,
                                     const Env& env);

// kUsage when what the two measure does not compare: both modes are named.
Result<Unit> check_same_mode(const report::DiffInput& first, const report::DiffInput& other);

// kUsage when a run of this mode has not measured what is asked for.
Result<Unit> check_amount(const std::string& mode, recording::Amount amount);
// …when a format cannot show it.
Error no_temporaries_in(const std::string& format);

// What every output format is given, with the way to the run's sentences.
sinks::FormatOptions format_options(const ShapeOptions& shape);

}  // namespace memspy::cli

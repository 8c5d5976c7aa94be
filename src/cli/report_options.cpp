#include "cli/report_options.h"

#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include "cli/hints.h"
#include "cli/options.h"
#include "recording/text.h"

namespace memspy::cli {
namespace {

const char* what_is_told(const std::string& mode) {
  if (mode == "alloc") return "CPU time spent allocating";
  return mode == "live" ? "blocks that are held" : "pages first touched";
}

}  // namespace

void add_by(CLI::App& app, report::GroupBy& by, const std::string& description) {
  app.add_option_function<std::string>(
         "--by",
         [&by](const std::string& text) {
           const auto group = report::find_group(text);
           if (!group)
             throw CLI::ValidationError("--by", "\"" + text + "\" is not line, function or file");
           by = *group;
         },
         description)
      ->type_name("line|function|file")
      ->take_last();
}

void add_limit(CLI::App& app, std::size_t& limit) {
  add_count(app, "-n,--rows", limit, "Rows of a text; 0: all");
}

void add_report_choices(CLI::App& app, ReportChoices& choices) {
  add_by(app, choices.by, "Rows by line, function or file (line)");
  app.add_option_function<std::string>(
         "--sort",
         [&choices](const std::string& text) {
           if (text == "own") {
             choices.sort = report::SortBy::kOwn;
           } else if (text == "cumulative") {
             choices.sort = report::SortBy::kCumulative;
           } else if (text == "name") {
             choices.sort = report::SortBy::kName;
           } else {
             throw CLI::ValidationError("--sort",
                                        "\"" + text + "\" is not own, cumulative or name");
           }
         },
         "Order of the rows (own)")
      ->type_name("own|cumulative|name")
      ->take_last();
  add_limit(app, choices.limit);
  add_shape(app, choices.shape);
  app.add_flag("-s,--subprocesses", choices.shape.shape.processes, "A root frame for each process");
}

report::Style report_style(bool to_terminal, const Env& env) {
  report::Style style;
  style.colour = to_terminal && env.colour;
  style.width = to_terminal && env.out_terminal ? env.columns : 0;
  return style;
}

report::ReportOptions report_options(const ReportChoices& choices, bool to_terminal,
                                     const Env& env) {
  report::ReportOptions options;
  options.by = choices.by;
  options.sort = choices.sort;
  options.shape = choices.shape.shape;
  options.amount = choices.shape.amount;
  options.limit = choices.limit;
  options.style = report_style(to_terminal, env);
  return options;
}

Result<Unit> check_same_mode(const report::DiffInput& first, const report::DiffInput& other) {
  const std::string one = recording::escape_text(first.profile->header.mode);
  const std::string two = recording::escape_text(other.profile->header.mode);
  if (one == two) return Unit{};
  return usage_error(
      "a recording of mode " + one + " and one of mode " + two + " cannot be compared",
      fmt::format("{} tells of {}, {} of {}", first.name, what_is_told(one), other.name,
                  what_is_told(two)),
      "record both with the same --mode");
}

Result<Unit> check_amount(const std::string& mode, recording::Amount amount) {
  if (amount != recording::Amount::kTemporary || mode == "live") return Unit{};
  return usage_error(
      "--temporary is of mode live",
      "a run of mode " + recording::escape_text(mode) + " has not seen what was given back at once",
      "record with --mode live");
}

Error no_temporaries_in(const std::string& format) {
  return usage_error("format \"" + format + "\" does not show what came and went",
                     "a recording (.memspy) has it besides what is held; no other format has both",
                     "record without --temporary, then memspy report --temporary");
}

sinks::FormatOptions format_options(const ShapeOptions& shape) {
  sinks::FormatOptions options{shape.shape, shape.amount, {}};
  options.words = [amount = shape.amount](const recording::Profile& profile,
                                          const recording::StackShape& stacks) {
    return sinks::RunWords{report::run_title(profile), report::verdict(profile, stacks, amount),
                           report::evidence_line(report::run_figures(profile)),
                           report::loss_line(profile)};
  };
  return options;
}

}  // namespace memspy::cli

#include "cli/report_options.h"

#include <CLI/CLI.hpp>

namespace memspy::cli {

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
  app.add_option("-n,--rows", limit, "Rows of a text; 0: all")->type_name("N")->take_last();
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
  options.gross = choices.shape.gross;
  options.limit = choices.limit;
  options.style = report_style(to_terminal, env);
  return options;
}

}  // namespace memspy::cli

#include "cli/text_output.h"

#include <CLI/CLI.hpp>

#include "cli/hints.h"

namespace memspy::cli {

bool TextOutput::json() const {
  return format == "json" || (format.empty() && path.ends_with(".json"));
}

void add_text_output(CLI::App& app, TextOutput& output) {
  app.add_option_function<std::string>(
         "-f,--format",
         [&output](const std::string& text) {
           if (text != "text" && text != "json")
             throw CLI::ValidationError("--format", "\"" + text + "\" is not text or json");
           output.format = text;
         },
         "What; else by the suffix of -o, else text")
      ->type_name("text|json")
      ->take_last();
  app.add_option("-o,--output", output.path, "Where to; - is stdout")
      ->type_name("FILE")
      ->take_last();
  app.add_flag("--force", output.force, "Replace a file that exists");
}

Result<sinks::OutputFile> open_text_output(TextOutput& output, bool json, Env& env) {
  if (json && output.format == "text")
    return usage_error("--json and -f text: one of them, please");
  if (json) output.format = "json";
  return sinks::OutputFile::open(output.path, output.force, env.out);
}

Result<Unit> finish_text_output(sinks::OutputFile& file, const sinks::OutputFacts& facts,
                                Env& env) {
  MEMSPY_TRY(path, file.commit(facts));
  if (path != "-") say(env, "wrote " + path);
  return Unit{};
}

}  // namespace memspy::cli

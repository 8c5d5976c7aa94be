// -o, -f and --force of the verbs that print a text or JSON: heap, gc, diff.
#pragma once

#include <string>

#include "cli/env.h"
#include "cli/options.h"
#include "sinks/output_file.h"

namespace memspy::cli {

struct TextOutput {
  std::string format;  // "": by the suffix of the file, else text
  std::string path = "-";
  bool force = false;

  bool to_stdout() const { return path == "-"; }
  bool json() const;
};

void add_text_output(CLI::App& app, TextOutput& output);

// `--json` stands for `-f json`; the two must not contradict each other. Then the file is made,
// which fails where it cannot be written: before a process is touched.
Result<sinks::OutputFile> open_text_output(TextOutput& output, bool json, Env& env);

// Puts the file in its place, and says so.
Result<Unit> finish_text_output(sinks::OutputFile& file, const sinks::OutputFacts& facts, Env& env);

}  // namespace memspy::cli

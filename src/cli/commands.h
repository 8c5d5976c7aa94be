// Every verb's door: declares its options on the parser and returns what runs it.
#pragma once

#include "cli/options.h"

namespace memspy::cli {

Verb add_attach(CLI::App& root);
Verb add_record(CLI::App& root);
Verb add_report(CLI::App& root);
Verb add_top(CLI::App& root);
Verb add_dump(CLI::App& root);
Verb add_heap(CLI::App& root);
Verb add_snapshot(CLI::App& root);
Verb add_why(CLI::App& root);
Verb add_gc(CLI::App& root);
Verb add_traces(CLI::App& root);
Verb add_diff(CLI::App& root);
Verb add_doctor(CLI::App& root);
Verb add_daemon(CLI::App& root);
Verb add_completions(CLI::App& root);

// A verb with the options that every verb has.
Verb add_verb(CLI::App& root, const std::string& name, const std::string& description);

}  // namespace memspy::cli

// The command line as data, taken from the parser: what completions and man pages are made from, so
// that an option is described in one place.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace memspy::cli {

struct OptionModel {
  std::vector<std::string> spellings;  // "-p", "--pid"; empty for a positional only
  std::string positional;              // "PID"; "" when it has no place of its own
  std::string type;                    // "FILE", "DUR", "auto|faults|poll|rss"; "" for a flag
  std::string description;

  std::vector<std::string> choices() const;  // of "a|b|c"
  bool takes_file() const { return type == "FILE" || type == "PID|FILE"; }
  bool takes_pid() const { return type == "PID"; }
};

struct VerbModel {
  std::string name;
  std::string description;
  bool takes_command = false;  // `-- CMD…`
  std::vector<OptionModel> options;
};

struct ProgramModel {
  std::string description;
  std::string footer;
  std::vector<OptionModel> options;  // before the verb
  std::vector<VerbModel> verbs;
};

struct App;
ProgramModel describe_program(const App& app);

}  // namespace memspy::cli

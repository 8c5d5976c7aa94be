// --config FILE: TOML with the names of the options, at top level or in a section named as a verb.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "memspy/error.h"
#include "memspy/result.h"

namespace CLI {
class App;
}

namespace memspy::cli {

// What a file gives a verb, and where each of it stands.
struct Config {
  struct Value {
    std::string name, text;
    std::string place;  // "line 3, column 12"
  };
  std::string path;
  std::vector<std::string> args;  // to stand before what was typed, which wins
  std::vector<Value> values;
};

// Whether the options of a verb take these arguments; if not, what they say.
using TryOptions =
    std::function<std::optional<std::string>(const std::vector<std::string>& arguments)>;

// An option of other verbs is passed over. A name that no verb knows and a value that the option
// does not take are kUsage, with the place in the file.
Result<Config> read_config(const std::string& path, const CLI::App& root, const CLI::App& verb,
                           const std::vector<std::string>& typed, const TryOptions& try_options);

// A usage error of the verb itself, with the place of the values it speaks of when they stand in
// the file.
Error name_config_lines(Error error, const Config& config);

}  // namespace memspy::cli

// --config FILE: TOML with the names of the options, at top level or in a section named as a verb.
#pragma once

#include <string>
#include <vector>

#include "memspy/result.h"

namespace CLI {
class App;
}

namespace memspy::cli {

// The file's values as arguments for `verb`, to stand before those that were typed (which win).
// An option of other verbs is passed over, a name that no verb knows is kUsage.
Result<std::vector<std::string>> read_config(const std::string& path, const CLI::App& root,
                                             const CLI::App& verb,
                                             const std::vector<std::string>& typed);

}  // namespace memspy::cli

// The command line before CLI11 sees it: the verb by an unambiguous prefix, the command after `--`,
// and the values of a configuration file as if they had been typed before the rest.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/result.h"

namespace memspy::cli {

// Cuts what follows the first "--" off `args`; nullopt when there is none.
std::optional<std::vector<std::string>> take_command(std::vector<std::string>& args);

// The index of the verb: the first argument that is no option of memspy itself.
std::optional<std::size_t> find_verb(const std::vector<std::string>& args);

// "rec" -> "record". kUsage when no verb or several begin like this; both texts list the verbs.
Result<std::string> complete_verb(std::string_view typed, const std::vector<std::string>& verbs);

// The value of --config FILE or --config=FILE, wherever it stands.
std::optional<std::string> find_config(const std::vector<std::string>& args);

// The option that a mistyped one is nearest to, if any is near.
std::optional<std::string> nearest(std::string_view typed, const std::vector<std::string>& known);

}  // namespace memspy::cli

// Which packages have the debug information of files, as far as the package manager's lists tell.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace memspy::cli {

// By path, as the process had it; `root` is what stands before it here, and may be another
// container's. Debian's lists are read, once for all; a file that is in none has no entry. nullopt:
// there are no such lists, so nothing is known.
std::optional<std::map<std::string, std::string>> find_debug_packages(
    const std::string& root, const std::vector<std::string>& paths);

}  // namespace memspy::cli

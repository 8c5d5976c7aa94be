// Which package has the debug information of a file, as far as the package manager's lists tell.
#pragma once

#include <string>

namespace memspy::cli {

// `path` as the process had it, `root` what stands before it here. Debian's lists are read; "": the
// file is in none of them.
std::string debug_package_of(const std::string& root, const std::string& path);

}  // namespace memspy::cli

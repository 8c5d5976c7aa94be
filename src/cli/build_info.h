// What this binary is, for --version and the header of a recording.
#pragma once

#include <string>
#include <string_view>

namespace memspy::cli {

std::string_view version();  // "0.1.0"
std::string version_text();  // with commit, build type, compiler and libraries

}  // namespace memspy::cli

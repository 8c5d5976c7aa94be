// Names of functions as their source has them.
#pragma once

#include <string>
#include <string_view>

namespace memspy::symbolize {

// C++ (Itanium), Rust (legacy and v0), and others that libiberty knows. What is not mangled, or too
// long to be believed, comes back as it is.
std::string demangle(std::string_view name);

}  // namespace memspy::symbolize

// Paths as text: of a process that may see other files than memspy does.
#pragma once

#include <string_view>

namespace memspy {

// What follows the last slash: all of it where there is none.
inline std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace memspy

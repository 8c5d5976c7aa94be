#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "base/file.h"

namespace memspy::symbolize {

inline std::string elf_input(const std::string& name) {
  return std::string(MEMSPY_ELF_INPUTS) + "/" + name;
}

inline std::vector<std::byte> file_bytes(const std::string& path) {
  const auto text = read_file(path).value_or("");
  std::vector<std::byte> bytes(text.size());
  std::transform(text.begin(), text.end(), bytes.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  return bytes;
}

}  // namespace memspy::symbolize

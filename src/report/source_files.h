// Source files of the target, as this machine has them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace memspy::report {

struct Source {
  std::string path;                // where it was found
  std::vector<std::string> lines;  // without tabs and control characters
  bool newer = false;              // than the run's start
};

// Whether a file may be read, by the path that it has after all links.
using PathTest = bool (*)(const std::string& path);

// The path itself, then under each root its longest tail that exists. Regular files only, and only
// what passes the test: others are not opened for reading.
std::optional<Source> find_source(const std::string& file, const std::vector<std::string>& roots,
                                  std::chrono::nanoseconds run_start, PathTest may_read = nullptr);

}  // namespace memspy::report

// A profile by function, line or file: what is its own (charged to the innermost frame) and what is
// cumulative (every stack that passes through). Bytes, or the microseconds of mode alloc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "recording/shaped.h"

namespace memspy::report {

enum class GroupBy { kLine, kFunction, kFile };
std::string_view group_name(GroupBy by);  // "line", "function", "file"
std::optional<GroupBy> find_group(std::string_view name);

enum class ChargeTo {
  kInnermost,        // native and [gc] frames too
  kInnermostPython,  // the Python line that called into native code; the innermost where there is
                     // none
};

struct Group {
  std::string name;       // as it is printed: `load (app.py:12)`, `load (app.py)`, `app.py`, `[gc]`
  std::string key;        // the same in every recording of the program: full paths
  std::string function;   // "" by file
  std::string file;       // full; "" for markers
  std::int32_t line = 0;  // by line only
  std::uint64_t own = 0;
  std::uint64_t cumulative = 0;
  std::uint64_t samples = 0;  // of its own
};

struct Groups {
  std::vector<Group> rows;  // own, then cumulative falling, then name
  std::uint64_t total = 0;
  recording::Measure measure = recording::Measure::kBytes;
};

Groups group_stacks(const recording::ShapedProfile& shaped, GroupBy by,
                    ChargeTo charge = ChargeTo::kInnermost);

}  // namespace memspy::report

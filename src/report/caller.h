// On whose behalf a library grew: the line of the program that called it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "recording/shaped.h"
#include "report/groups.h"

namespace memspy::report {

// Of Python itself, of an installed package, or a package's command: by where it lies.
bool is_library_file(std::string_view file);

struct Caller {
  std::string text;         // "remember (app.py:11)"
  std::uint64_t bytes = 0;  // of the function's own growth
};

// Of the stacks that are charged to `function`, a row of group_stacks by function: the innermost
// line outside of libraries that most of the growth came through. nullopt: the function is no
// library's, or nobody but libraries called it.
std::optional<Caller> find_caller(const recording::ShapedProfile& shaped, const Group& function);

}  // namespace memspy::report

// The name given with -o: %p pid, %t local time, %h host, %n name of the process, %% a percent sign.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "memspy/result.h"

namespace memspy::cli {

struct NameFacts {
  int pid = 0;
  std::chrono::nanoseconds wall_time{};  // since the Unix epoch
  std::string host;
  std::string process;                   // what no file name may hold becomes '_'
};

// kUsage for another letter after %.
Result<std::string> expand_output_name(std::string_view pattern, const NameFacts& facts);

// True when the name cannot be known before the process exists.
bool names_pid(std::string_view pattern);

std::string host_name();

}  // namespace memspy::cli

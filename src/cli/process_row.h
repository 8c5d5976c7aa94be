// One Python process of the host, as the picker and the process list of `top` show it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "memspy/address.h"

namespace memspy::cli {

struct ProcessRow {
  Pid pid;
  std::string user{};
  std::string version{};    // "3.11", "" when the file names do not tell
  std::string container{};  // short id, "" on the host
  std::string command{};    // one line
  std::uint64_t rss_bytes = 0;
  std::optional<std::uint64_t> pss_bytes{};
  std::optional<double> growth_per_minute{};  // known from the second look on
};

}  // namespace memspy::cli

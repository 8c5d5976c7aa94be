// What the tables of several reports write into a cell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "recording/measure.h"

namespace memspy::report {

// What is compared is called A, B, … Z, #27, …
std::string letter(std::size_t index);

std::string signed_count(std::int64_t count);  // "+1 234", "-7", "0"

// "1.4 MiB/min", "72.0 ms/s"; signed: "+51.0 ms/s". Whatever a file claims.
std::string rate_text(recording::Measure measure, double rate);
std::string signed_rate_text(recording::Measure measure, double rate);

// Without "%", as heapy prints them: a table has many. Of nothing: "0".
std::string whole_percent(std::uint64_t part, std::uint64_t whole);

}  // namespace memspy::report

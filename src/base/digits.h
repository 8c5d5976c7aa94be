// Numbers that are counts, for people.
#pragma once

#include <cstdint>
#include <string>

namespace memspy {

// "4 912 331"
std::string grouped_digits(std::uint64_t number);

}  // namespace memspy

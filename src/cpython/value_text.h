// Values as Python writes them, from values of our own: no target involved.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace memspy::cpython {

// Digits of 30 bits, the lowest first.
std::string decimal(std::span<const std::uint32_t> digits, bool negative);
std::string float_repr(double value);
// With quotes and escapes; control characters never reach a terminal.
std::string str_repr(std::string_view utf8);
std::string bytes_repr(std::string_view bytes);

}  // namespace memspy::cpython

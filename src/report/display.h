// Text on a terminal: widths, cutting, padding, sparklines, percentages, and colours only if asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace memspy::report {

// How a report may look; a file or a pipe gets the defaults.
struct Style {
  bool colour = false;    // escape codes
  bool ascii = false;     // no box drawing, no blocks
  std::size_t width = 0;  // columns of the terminal; 0: lines may be as long as they are
};

std::string bold(const Style& style, std::string_view text);
std::string dim(const Style& style, std::string_view text);
std::string warning(const Style& style, std::string_view text);

// Columns that UTF-8 text takes: combining marks none, East Asian wide characters and emoji two.
std::size_t display_width(std::string_view text);

enum class Align { kLeft, kRight };
std::string pad(std::string_view text, std::size_t width, Align align);

// At most `width` columns; what does not fit is cut out of the middle, since names of functions
// begin and places end with what tells them apart.
std::string clip_middle(std::string_view text, std::size_t width, bool ascii);

// `width` characters at most, one for a value or for the mean of neighbours; "" for no values.
// The lowest value is the lowest block, the highest the full one.
std::string sparkline(std::span<const double> values, std::size_t width, bool ascii);

// "97 %", "3.4 %", "0.04 %", "<0.01 %", "0 %"; of nothing: "0 %".
std::string percent(double part, double whole);

}  // namespace memspy::report

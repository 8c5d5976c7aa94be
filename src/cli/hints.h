// The three lines a person reads when something fails: what, why, what to do.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "memspy/error.h"

namespace memspy::cli {

// What to do about an error that brings no hint of its own; "" when there is nothing to say.
std::string_view default_hint(Errc code);

// "memspy: WHAT\n  why:  …\n  try:  …\n". Lines without text are left out; further lines of a
// multi-line text are indented to its column.
std::string format_error(const Error& error);
void print_error(std::ostream& err, const Error& error);

// A usage error with its own text.
Error usage_error(std::string message, std::string why = "", std::string hint = "");

}  // namespace memspy::cli

// Text as outputs need it: names of a target are any bytes.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace memspy::recording {

// Control characters, bytes that are not UTF-8, and the characters of `also` (ASCII) become \n, \t
// or \xNN, so that a name stays on its line and cannot drive a terminal; with ";\\" the result can
// be turned back. Characters that turn the direction of text, or show nothing, become \uXXXX: a
// name would look like another one.
std::string escape_text(std::string_view text, std::string_view also = {});

// The length of the UTF-8 character at `at`; 0 when the bytes there are none.
std::size_t utf8_length(std::string_view text, std::size_t at);

// "2023-11-14T22:13:20.250Z"
std::string utc_time(std::chrono::nanoseconds since_epoch);

}  // namespace memspy::recording

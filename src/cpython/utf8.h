// Characters of a Python string, as UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace memspy::cpython {

// `unit`: bytes per code point (1: Latin-1, 2: UCS-2, 4: UCS-4). What is no character (a lone
// surrogate, a value above U+10FFFF) becomes U+FFFD.
std::string to_utf8(std::span<const std::byte> characters, std::uint32_t unit);

}  // namespace memspy::cpython

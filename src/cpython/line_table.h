// From an offset into bytecode to a line of source: the three encodings CPython has used. Pure, and
// safe for any bytes: one pass, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cpython/strategies.h"

namespace memspy::cpython {

// `table` is the content of co_lnotab or co_linetable, `instruction` a byte offset into the
// bytecode; a negative one means that the code has not started, and gives `first_line`. 0: there is
// no line (code the compiler made up), or the table does not reach so far.
std::int32_t line_of(LineTableKind kind, std::span<const std::byte> table, std::int32_t first_line,
                     std::int32_t instruction);

}  // namespace memspy::cpython

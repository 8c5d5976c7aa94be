// Where a compiler has put an allocator's fast path into its callers.
//
// CPython calls its allocators through pointers, so a build that is trained on a profile (as those
// of distributions are) compares the pointer with the function that it nearly always is, and has a
// copy of that function's first instructions behind the comparison. Such a place is known by the
// address that it compares with, on every version and also in stripped programs. (References to
// `usedpools` tell the same up to 3.11 alone, and those of free() as well.) Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace memspy::cpython {

// So much code behind a comparison is the allocator's: the fast path of pymalloc takes 60 to 80
// bytes with GCC 8 to 14, and what it falls back to is out of line.
inline constexpr std::uint64_t kInlinedBytes = 96;

// Where `code`, which lies at `begin`, compares with the address of one of `functions` (ascending).
// In order; addresses of all in one space, link addresses or others.
std::vector<std::uint64_t> find_guards(std::span<const std::byte> code, std::uint64_t begin,
                                       std::span<const std::uint64_t> functions);

}  // namespace memspy::cpython

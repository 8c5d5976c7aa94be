// Telling return addresses from other words on a stack, where no table says where they are.
#pragma once

#include <cstddef>
#include <span>

namespace memspy::unwind {

inline constexpr std::size_t kLongestCall = 8;  // with a prefix, SIB and a displacement

// Do these bytes, the last before an address, end in a call instruction of x86-64?
bool ends_in_call(std::span<const std::byte, kLongestCall> before);

}  // namespace memspy::unwind

// Of this process, as memspy sees it from outside.
#pragma once

#include <cstdint>

#include "memspy/address.h"

namespace memspy::attach {

inline RemoteAddr address_of(const void* p) { return {reinterpret_cast<std::uintptr_t>(p)}; }

}  // namespace memspy::attach

// ptrace(2) with typed arguments, for the sources of Seizure alone.
#pragma once

#include <sys/ptrace.h>

#include "memspy/address.h"

namespace memspy::attach {

// glibc declares the request as an enum with fixed entries; the arguments are plain words.
inline long trace(__ptrace_request request, Tid tid, unsigned long addr, unsigned long data) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): ptrace's ABI
  return ::ptrace(request, tid.value, reinterpret_cast<void*>(addr), reinterpret_cast<void*>(data));
}

}  // namespace memspy::attach

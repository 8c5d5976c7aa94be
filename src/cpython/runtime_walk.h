// The lists of interpreters and of their threads. Bounded: a torn or hostile list ends the walk.
#pragma once

#include <cstdint>
#include <vector>

#include "cpython/anchors.h"
#include "cpython/layout.h"
#include "cpython/remote_fields.h"

namespace memspy::cpython {

inline constexpr std::size_t kMaxInterpreters = 1024;
inline constexpr std::size_t kMaxThreads = 65536;  // of one interpreter

struct InterpreterRef {
  RemoteAddr address;
  std::int64_t id =
      0;  // 0 is the main interpreter; 3.6 numbers none, and its oldest is the main one
};

// Newest first, as CPython lists them. kUnreadable when there is none: the runtime is not
// initialised yet, or finalised.
Result<std::vector<InterpreterRef>> list_interpreters(const MemoryReader& memory,
                                                      const Layout& layout, const Anchors& anchors);

// The thread states of one interpreter; a state that does not point back to it ends the walk.
std::vector<Block> list_threads(const MemoryReader& memory, const Layout& layout,
                                RemoteAddr interpreter);

}  // namespace memspy::cpython

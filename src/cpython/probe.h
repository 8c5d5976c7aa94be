// Is what a locator named really CPython in this layout? Believed only when interpreters, threads,
// frames, code objects and names all hold together, down to the root of a stack.
#pragma once

#include <string>

#include "cpython/anchors.h"
#include "cpython/layout.h"
#include "cpython/version.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

struct ProbeResult {
  std::size_t interpreters = 0, threads = 0, frames = 0;
  RemoteAddr code_type;           // PyCode_Type, as the frames' code objects say
  std::uint32_t version_hex = 0;  // sys.hexversion; 0 when it could not be read
  std::string not_ready;          // CPython, but not initialised yet (or no more): why; else ""
  std::string evidence() const;   // "2 interpreters, 4 threads, 31 frames decoded"
};

// An error: not CPython in this layout; the message says what did not fit. The target may run while
// this looks, so torn stacks are tried again.
Result<ProbeResult> probe(const MemoryReader& memory, const Layout& layout, const Anchors& anchors);

}  // namespace memspy::cpython

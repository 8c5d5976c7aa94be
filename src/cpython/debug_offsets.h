// _Py_DebugOffsets: 3.13+ publish the offsets of the running build at the start of _PyRuntime.
#pragma once

#include <optional>
#include <string_view>

#include "cpython/layout.h"
#include "cpython/version.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

inline constexpr std::string_view kDebugOffsetsCookie = "xdebugpy";

struct DebugOffsetsHead {
  Version version;  // with free_threaded as published
};

// nullopt: no debug offsets at `runtime` (before 3.13, or not _PyRuntime).
std::optional<DebugOffsetsHead> read_debug_offsets_head(const MemoryReader& memory,
                                                        RemoteAddr runtime);

// Replaces the fields of `layout` that the target publishes and checks the result with validate();
// the rest stays from the static table, and `source` says so. kUnsupported: this minor's layout of
// the debug offsets is not known. kCorrupt: what is published cannot be.
Result<Unit> apply_debug_offsets(const MemoryReader& memory, RemoteAddr runtime, Layout& layout);

}  // namespace memspy::cpython

// The names that programs give to threading.Thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cpython/anchors.h"
#include "cpython/layout.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

// By thread_id (threading.get_ident()), of all interpreters: what threading._active holds now.
// Empty where `threading` was not imported or could not be read.
std::vector<std::pair<std::uint64_t, std::string>> read_thread_names(const MemoryReader& memory,
                                                                     const Layout& layout,
                                                                     const Anchors& anchors);

}  // namespace memspy::cpython

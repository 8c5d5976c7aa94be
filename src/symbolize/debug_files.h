// Where the files behind a recorded module, and their debug information, are looked for. What is
// found is what was asked for, by build id or checksum, or it is nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "symbolize/symbolizer.h"

namespace memspy::symbolize {

inline constexpr const char* kDebugRoot = "/usr/lib/debug";

struct FoundFile {
  UniqueFd fd;
  std::string path;
};

// The module itself: as `offered`, below the sysroot, then at its path. Without a build id to
// compare the path decides. An invalid descriptor: not found.
FoundFile find_module_file(const std::string& module, const std::string& build_id,
                           const std::string& offered, const SymbolizeOptions& options);

// A file of debug information of it, by build id below each debug directory, then by the name that
// `.gnu_debuglink` has, whose checksum must fit, then what SymbolizeOptions::fetch brings.
FoundFile find_debug_file(const std::string& module, const std::string& build_id,
                          const std::string& link_name, std::uint32_t link_crc,
                          const SymbolizeOptions& options);

}  // namespace memspy::symbolize

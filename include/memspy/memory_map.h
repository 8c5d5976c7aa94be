// The mappings of a process, as /proc/PID/maps (or a core file) names them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memspy/address.h"

namespace memspy {

struct Mapping {
  RemoteAddr start;  // inclusive, page aligned
  RemoteAddr end;    // exclusive, page aligned
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;       // MAP_SHARED
  std::uint64_t offset = 0;  // into the file, bytes
  std::uint64_t device = 0;  // makedev(major, minor), 0 for anonymous memory
  std::uint64_t inode = 0;   // 0 for anonymous memory
  std::string path;          // "" anonymous; "[heap]", "[stack]"…; " (deleted)" is stripped
  bool deleted = false;      // the path ended in " (deleted)"

  std::uint64_t size() const { return end.value - start.value; }
  bool contains(RemoteAddr a) const { return a >= start && a < end; }
  bool anonymous() const { return inode == 0 && (path.empty() || path[0] == '['); }
};

// Sorted by start, without overlaps.
using MemoryMap = std::vector<Mapping>;

// The mapping that holds `addr`, or nullptr.
const Mapping* find_mapping(const MemoryMap& map, RemoteAddr addr);

}  // namespace memspy

#include "memspy/memory_map.h"

#include <algorithm>

namespace memspy {

const Mapping* find_mapping(const MemoryMap& map, RemoteAddr addr) {
  auto it = std::upper_bound(map.begin(), map.end(), addr,
                             [](RemoteAddr a, const Mapping& m) { return a < m.start; });
  if (it == map.begin()) return nullptr;
  --it;
  return it->contains(addr) ? &*it : nullptr;
}

}  // namespace memspy

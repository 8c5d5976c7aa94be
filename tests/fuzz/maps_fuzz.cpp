#include <cstdint>
#include <string_view>

#include "procfs/maps.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto map = memspy::procfs::parse_maps({reinterpret_cast<const char*>(data), size});
  if (!map) return 0;
  memspy::RemoteAddr end{0};
  for (const auto& mapping : *map) {
    MEMSPY_REQUIRE(mapping.start >= end);
    MEMSPY_REQUIRE(mapping.start < mapping.end);
    end = mapping.end;
    MEMSPY_REQUIRE(memspy::find_mapping(*map, mapping.start) == &mapping);
  }
  return 0;
}

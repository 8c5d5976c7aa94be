// Arenas that a few objects keep from being given back: pymalloc returns an arena only when every
// block in it is free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "heap/ledger.h"
#include "heap/sweep.h"

namespace memspy::heap {

struct Pins {
  std::uint64_t arenas = 0;
  std::uint64_t free_bytes = 0;  // resident in those arenas and not in use
  std::uint64_t live_bytes = 0;  // of blocks in use in them
  std::uint64_t objects = 0;     // that lie in them
  std::string types, owners;     // "812 str, 40 app.Rec", "app.CACHE, app.LOG"; the most frequent
};

Pins find_pins(const LedgerInput& input, const std::vector<ArenaUse>& arenas);

// "812 str": the names of builtins without their module.
std::string_view short_type_name(std::string_view name);

}  // namespace memspy::heap

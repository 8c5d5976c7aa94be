// SipHash-2-4: a hash that tells equal contents from others and, without its key, nothing else of
// them. Whoever has hashes but not the key cannot try out guesses, as with a plain hash they could.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "memspy/result.h"

namespace memspy {

struct HashKey {
  std::uint64_t first = 0, second = 0;
};

// From the kernel's random source; not the same twice.
Result<HashKey> random_hash_key();

std::uint64_t keyed_hash(const HashKey& key, std::span<const std::byte> bytes);

}  // namespace memspy

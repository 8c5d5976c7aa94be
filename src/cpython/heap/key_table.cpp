#include "cpython/heap/key_table.h"

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxLog2Slots = 40;
constexpr std::uint64_t kFullEntry = 24, kShortEntry = 16;  // {hash, key, value}; {key, value}

std::uint64_t index_bytes_of(std::uint64_t slots) {
  const std::uint64_t width = slots <= 0xff ? 1 : slots <= 0xffff ? 2 : slots <= 0xffffffff ? 4 : 8;
  return slots * width;
}

}  // namespace

std::optional<KeyTable> read_key_table(const Layout& layout, HeapBytes& bytes, RemoteAddr keys) {
  if (!is_plausible(keys)) return std::nullopt;
  const auto head = bytes.bytes(keys, layout.offset(Field::kDictKeysIndices));
  if (head.empty()) return std::nullopt;
  const auto get = [&](Field field) {
    const Slot slot = layout.slots[static_cast<std::size_t>(field)];
    return load(head, slot.offset, slot.width).value_or(0);
  };
  KeyTable table;
  table.address = keys;
  table.refcount = get(Field::kDictKeysRefcount);
  table.usable = get(Field::kDictKeysUsable);
  table.used = get(Field::kDictKeysEntryCount);
  std::uint64_t index_bytes = 0, entry_bytes = kFullEntry;
  if (layout.strategies.dict_keys == DictKeysKind::kFullEntries) {
    table.slots = get(Field::kDictKeysSize);
    if (table.slots > (1ULL << kMaxLog2Slots)) return std::nullopt;
    index_bytes = index_bytes_of(table.slots);
  } else {
    const std::uint64_t log2_slots = get(Field::kDictKeysLog2Size);
    const std::uint64_t log2_index = get(Field::kDictKeysLog2IndexBytes);
    const std::uint64_t kind = get(Field::kDictKeysKind);
    if (log2_slots > kMaxLog2Slots || log2_index > kMaxLog2Slots + 3 || kind > 2) {
      return std::nullopt;
    }
    table.slots = 1ULL << log2_slots;
    index_bytes = 1ULL << log2_index;
    if (kind != 0) entry_bytes = kShortEntry;
    table.split = kind == 2;
  }
  table.capacity = table.slots * 2 / 3;
  if (table.used > table.slots || table.usable > table.slots) return std::nullopt;
  table.bytes = layout.offset(Field::kDictKeysIndices) + index_bytes + entry_bytes * table.capacity;
  return table;
}

}  // namespace memspy::cpython

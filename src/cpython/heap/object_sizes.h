// What an object takes: as sys.getsizeof() says, and the memory outside itself that it alone owns.
// Sizes are computed from the object's own fields; where blocks really end is for the caller to
// ask.
#pragma once

#include <cstdint>
#include <vector>

#include "cpython/heap/heap_bytes.h"
#include "cpython/heap/key_table.h"
#include "cpython/heap/type_table.h"
#include "cpython/layout.h"

namespace memspy::cpython {

struct OwnedMemory {
  RemoteAddr address;       // within its block; where a block has a head of its own, behind it
  std::uint64_t bytes = 0;  // computed; at least this much of the block is used
};

class ObjectSizes {
 public:
  ObjectSizes(const Layout& layout, HeapBytes& bytes, TypeTable& types)
      : layout_(layout), bytes_(bytes), types_(types) {}

  std::uint64_t getsizeof(RemoteAddr object, const TypeFacts& type);
  // From the object's address to the end of its own block.
  std::uint64_t inline_bytes(RemoteAddr object, const TypeFacts& type);
  // Bytes before the object's address within its block: of a static type none.
  std::uint32_t head_bytes(RemoteAddr object, const TypeFacts& type);
  // Appends what the object alone owns. Tables of keys that several dicts share are not among it.
  void owned(RemoteAddr object, const TypeFacts& type, std::vector<OwnedMemory>& out);
  // The shared table of keys of a split dict or of a class; null: none.
  RemoteAddr shared_keys(RemoteAddr object, const TypeFacts& type);

 private:
  // No object is larger; what claims to be is torn.
  static constexpr std::int64_t kMaxItems = 1LL << 40;
  static constexpr std::uint64_t kWord = 8;
  static constexpr std::uint64_t kSetEntry = 16;  // {key, hash}
  static constexpr std::uint64_t kWideCharacter = 4;

  std::uint64_t get(RemoteAddr base, Field field) {
    const Slot slot = layout_.slots[static_cast<std::size_t>(field)];
    return slot.present() ? bytes_.load(base + slot.offset, slot.width) : 0;
  }
  RemoteAddr pointer(RemoteAddr base, Field field) { return {get(base, field)}; }
  std::int64_t item_count(RemoteAddr object);  // |ob_size|
  std::uint64_t default_bytes(RemoteAddr object, const TypeFacts& type);
  std::uint64_t int_bytes(RemoteAddr object, const TypeFacts& type);
  std::uint64_t string_bytes(RemoteAddr object);
  std::uint64_t frame_bytes(RemoteAddr object, const TypeFacts& type);
  std::uint64_t generator_bytes(RemoteAddr object, const TypeFacts& type);
  std::uint64_t own_frame_slots(RemoteAddr frame);
  RemoteAddr code_of(RemoteAddr frame);
  std::uint64_t outside_bytes(RemoteAddr object, const TypeFacts& type);
  std::uint64_t string_outside(RemoteAddr object, std::vector<OwnedMemory>* out);
  std::uint64_t dict_outside(RemoteAddr object);
  std::uint64_t code_outside(RemoteAddr object, std::vector<OwnedMemory>* out);
  std::uint64_t buffers_outside(RemoteAddr object, const TypeFacts& type);
  std::uint64_t ordered_nodes(RemoteAddr object, std::vector<OwnedMemory>* out);
  std::uint64_t deque_blocks(RemoteAddr object, std::vector<OwnedMemory>* out);
  void owned_by_dict(RemoteAddr object, std::vector<OwnedMemory>& out);
  void owned_by_instance(RemoteAddr object, const TypeFacts& type, std::vector<OwnedMemory>& out);
  void owned_buffers(RemoteAddr object, const TypeFacts& type, std::vector<OwnedMemory>& out);
  void owned_by_array(RemoteAddr object, std::vector<OwnedMemory>& out);

  const Layout& layout_;
  HeapBytes& bytes_;
  TypeTable& types_;
};

}  // namespace memspy::cpython

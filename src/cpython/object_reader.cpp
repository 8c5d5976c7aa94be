#include "cpython/object_reader.h"

#include <algorithm>
#include <array>

#include <spdlog/fmt/fmt.h>

#include "cpython/utf8.h"

namespace memspy::cpython {
namespace {

// Managed instances keep their dict before the GC header's end: Py 3.11 {values, dict}, later
// {dict}.
constexpr std::uint64_t kManagedDictBefore = 24;
constexpr std::uint64_t kManagedValuesBefore = 32;  // 3.11

// What is read of a string at once when only short ones are looked for: head and text in one go.
constexpr std::size_t kShortString = 128;
constexpr std::size_t kStringsPerBatch = 128;

constexpr std::uint64_t kMaxLog2DictSize = 40;

Error corrupt(std::string_view what, RemoteAddr at) {
  return make_error(Errc::kCorrupt, fmt::format("{} at {:#x}", what, at.value));
}

struct StringShape {
  std::uint64_t length = 0;  // code points
  std::uint32_t unit = 1;    // bytes per code point
  bool embedded = true;      // else behind kUnicodeDataPointer
  std::uint32_t data = 0;    // offset of embedded characters
};

// nullopt: these bytes are not the head of a string in this layout.
std::optional<StringShape> shape_of(const Layout& layout, std::span<const std::byte> head) {
  const auto get = [&](Field field) {
    const Slot slot = layout.slots[static_cast<std::size_t>(field)];
    return load(head, slot.offset, slot.width);
  };
  const auto length = get(Field::kUnicodeLength);
  const auto state = get(Field::kUnicodeState);
  if (!length || !state || *length > kMaxStringLength) return std::nullopt;
  if (layout.strategies.unicode == UnicodeKind::kReadyBit && (*state & kUnicodeStateReady) == 0) {
    return std::nullopt;  // a legacy string that nobody asked the characters of yet
  }
  StringShape shape;
  shape.length = *length;
  shape.unit = static_cast<std::uint32_t>(*state >> kUnicodeStateKindShift) & kUnicodeStateKindMask;
  if (shape.unit != 1 && shape.unit != 2 && shape.unit != 4) return std::nullopt;
  shape.embedded = (*state & kUnicodeStateCompact) != 0;
  const bool ascii = (*state & kUnicodeStateAscii) != 0;
  if (ascii && shape.unit != 1) return std::nullopt;
  shape.data = layout.offset(ascii ? Field::kUnicodeAsciiData : Field::kUnicodeCompactData);
  return shape;
}

// Does this prefix of a string object hold exactly `text`? Only ASCII texts are looked for.
bool is_text(const Layout& layout, std::span<const std::byte> object, std::string_view text) {
  const auto shape = shape_of(layout, object);
  if (!shape || !shape->embedded || shape->unit != 1 || shape->length != text.size()) return false;
  if (shape->data > object.size() || text.size() > object.size() - shape->data) return false;
  return std::memcmp(object.data() + shape->data, text.data(), text.size()) == 0;
}

std::uint64_t index_bytes_of(std::uint64_t size) {
  const std::uint64_t width = size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8;
  return size * width;
}

}  // namespace

struct ObjectReader::KeyTable {
  RemoteAddr entries;
  std::uint64_t count = 0;  // entries ever used; holes have no value
  std::uint64_t entry_size = 0;
  std::uint64_t key_at = 0, value_at = 0;
};

Result<RemoteAddr> ObjectReader::type_of(RemoteAddr object) const {
  if (!is_plausible(object)) return corrupt("no object", object);
  MEMSPY_TRY(type, read_pointer(memory_, layout_, object, Field::kObjectType));
  if (!type) return corrupt("object without a type", object);
  return type;
}

Result<TypeInfo> ObjectReader::read_type(RemoteAddr type) const {
  MEMSPY_TRY(block, Block::read(memory_, type, layout_.size(Struct::kType)));
  TypeInfo info;
  info.address = type;
  info.flags = block.get(layout_, Field::kTypeFlags);
  info.basic_size = block.get_signed(layout_, Field::kTypeBasicSize);
  info.item_size = block.get_signed(layout_, Field::kTypeItemSize);
  info.dict_offset = block.get_signed(layout_, Field::kTypeDictOffset);
  MEMSPY_TRY(name, read_c_string(memory_, block.pointer(layout_, Field::kTypeName), kMaxTypeName));
  info.name = std::move(name);
  if ((info.flags & kTypeHeapType) != 0) {
    MEMSPY_TRY(keys, read_pointer(memory_, layout_, type, Field::kHeapTypeCachedKeys));
    info.cached_keys = keys;
  }
  return info;
}

Result<std::string> ObjectReader::read_str(RemoteAddr str, std::size_t max_characters,
                                           bool* cut) const {
  MEMSPY_TRY(head, Block::read(memory_, str, layout_.offset(Field::kUnicodeAsciiData)));
  const auto shape = shape_of(layout_, head.bytes());
  if (!shape) return corrupt("not a readable string", str);
  const std::uint64_t length = std::min<std::uint64_t>(shape->length, max_characters);
  if (cut != nullptr) *cut = length < shape->length;
  if (length == 0) return std::string();
  RemoteAddr data = str + shape->data;
  if (!shape->embedded) {
    MEMSPY_TRY(pointer, read_pointer(memory_, layout_, str, Field::kUnicodeDataPointer));
    data = pointer;
  }
  std::vector<std::byte> characters(static_cast<std::size_t>(length * shape->unit));
  MEMSPY_CHECK(read_exact(memory_, data, characters));
  return to_utf8(characters, shape->unit);
}

Result<std::int64_t> ObjectReader::read_int(RemoteAddr object) const {
  constexpr unsigned kDigitBits = 30;
  constexpr std::uint64_t kMaxDigits = 2;  // 60 bits
  const std::uint32_t digits_at = layout_.offset(Field::kLongDigits);
  MEMSPY_TRY(block, Block::read(memory_, object, digits_at));
  std::uint64_t count = 0;
  bool negative = false;
  if (layout_.strategies.integers == LongKind::kTag) {
    const std::uint64_t tag = block.get(layout_, Field::kLongTag);
    negative = (tag & 3) == 2;
    count = (tag & 3) == 1 ? 0 : tag >> 3;
  } else {
    const std::int64_t size = block.get_signed(layout_, Field::kVarObjectSize);
    negative = size < 0;
    count = negative ? 0 - static_cast<std::uint64_t>(size) : static_cast<std::uint64_t>(size);
  }
  if (count > kMaxDigits) return corrupt("an int of more than 60 bits", object);
  std::int64_t value = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    MEMSPY_TRY(digit, read<std::uint32_t>(memory_, object + digits_at + i * sizeof(std::uint32_t)));
    if (digit >> kDigitBits != 0) return corrupt("an int with an impossible digit", object);
    value |= static_cast<std::int64_t>(digit) << (kDigitBits * i);
  }
  return negative ? -value : value;
}

Result<ObjectReader::KeyTable> ObjectReader::read_keys(RemoteAddr keys) const {
  MEMSPY_TRY(block, Block::read(memory_, keys, layout_.offset(Field::kDictKeysIndices)));
  KeyTable table;
  table.entry_size = 24;  // {hash, key, value}
  table.key_at = 8;
  std::uint64_t size = 0, index_bytes = 0;
  if (layout_.strategies.dict_keys == DictKeysKind::kFullEntries) {
    size = block.get(layout_, Field::kDictKeysSize);
    if (size > (1ULL << kMaxLog2DictSize)) return corrupt("dict keys of impossible size", keys);
    index_bytes = index_bytes_of(size);
  } else {
    const std::uint64_t log2_size = block.get(layout_, Field::kDictKeysLog2Size);
    const std::uint64_t log2_index_bytes = block.get(layout_, Field::kDictKeysLog2IndexBytes);
    const std::uint64_t kind = block.get(layout_, Field::kDictKeysKind);
    if (log2_size > kMaxLog2DictSize || log2_index_bytes > kMaxLog2DictSize + 3 || kind > 2) {
      return corrupt("dict keys of impossible size", keys);
    }
    size = 1ULL << log2_size;
    index_bytes = 1ULL << log2_index_bytes;
    if (kind != 0) {  // only str keys, which know their hash: {key, value}
      table.entry_size = 16;
      table.key_at = 0;
    }
  }
  table.value_at = table.key_at + 8;
  table.count = block.get(layout_, Field::kDictKeysEntryCount);
  if (table.count > size) return corrupt("dict keys with more entries than slots", keys);
  table.entries = keys + layout_.offset(Field::kDictKeysIndices) + index_bytes;
  return table;
}

// `values`: of a split table, else null.
Result<DictItems> ObjectReader::collect(const KeyTable& table, RemoteAddr values,
                                        std::uint64_t value_capacity) const {
  DictItems result;
  const std::uint64_t wanted = values ? std::min(table.count, value_capacity) : table.count;
  const std::uint64_t count = std::min(wanted, kMaxDictEntries);
  result.truncated = count < wanted;
  if (count == 0) return result;
  std::vector<std::byte> entries(static_cast<std::size_t>(count * table.entry_size));
  MEMSPY_CHECK(read_exact(memory_, table.entries, entries));
  std::vector<std::byte> split(values ? static_cast<std::size_t>(count * 8) : 0);
  if (values) MEMSPY_CHECK(read_exact(memory_, values, split));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t at = static_cast<std::size_t>(i * table.entry_size);
    const RemoteAddr key{load(entries, at + table.key_at, 8).value_or(0)};
    const RemoteAddr value{values ? load(split, static_cast<std::size_t>(i * 8), 8).value_or(0)
                                  : load(entries, at + table.value_at, 8).value_or(0)};
    if (is_plausible(key) && is_plausible(value)) result.items.push_back({key, value});
  }
  return result;
}

Result<DictItems> ObjectReader::read_dict(RemoteAddr dict) const {
  MEMSPY_TRY(block, Block::read(memory_, dict, layout_.size(Struct::kDict)));
  MEMSPY_TRY(table, read_keys(block.pointer(layout_, Field::kDictKeys)));
  RemoteAddr values = block.pointer(layout_, Field::kDictValues);
  if (values && !is_plausible(values)) return corrupt("dict with impossible values", dict);
  if (values) values = values + layout_.offset(Field::kDictValuesItems);  // 0 up to 3.12
  return collect(table, values, table.count);
}

Result<std::vector<RemoteAddr>> ObjectReader::read_split_keys(RemoteAddr keys) const {
  MEMSPY_TRY(table, read_keys(keys));
  const std::uint64_t count = std::min<std::uint64_t>(table.count, kMaxAttributes);
  std::vector<std::byte> entries(static_cast<std::size_t>(count * table.entry_size));
  if (count != 0) MEMSPY_CHECK(read_exact(memory_, table.entries, entries));
  std::vector<RemoteAddr> found(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t at = static_cast<std::size_t>(i * table.entry_size + table.key_at);
    const RemoteAddr key{load(entries, at, 8).value_or(0)};
    if (is_plausible(key)) found[i] = key;
  }
  return found;
}

Result<DictItems> ObjectReader::read_values(RemoteAddr keys, RemoteAddr values) const {
  if (!is_plausible(keys) || !is_plausible(values)) return DictItems{};
  MEMSPY_TRY(table, read_keys(keys));
  std::uint64_t capacity = table.count;
  if (layout_.has(Field::kDictValuesCapacity)) {
    MEMSPY_TRY(read_capacity, read_field(memory_, layout_, values, Field::kDictValuesCapacity));
    capacity = read_capacity;
  }
  return collect(table, values + layout_.offset(Field::kDictValuesItems), capacity);
}

// The dict of an instance that is not managed: tp_dictoffset, counted from the end when negative.
Result<RemoteAddr> ObjectReader::dict_slot(RemoteAddr instance, const TypeInfo& type) const {
  constexpr std::int64_t kMaxInstance = 1LL << 32;
  std::int64_t offset = type.dict_offset;
  if (offset < 0) {
    MEMSPY_TRY(raw_size, read_field(memory_, layout_, instance, Field::kVarObjectSize));
    const auto signed_size = static_cast<std::int64_t>(raw_size);
    if (signed_size > kMaxInstance || signed_size < -kMaxInstance || type.item_size < 0 ||
        type.item_size > 65536 || type.basic_size < 0 || type.basic_size > kMaxInstance) {
      return corrupt("instance of impossible size", instance);
    }
    const std::int64_t items = signed_size < 0 ? -signed_size : signed_size;
    offset += (type.basic_size + type.item_size * items + 7) / 8 * 8;
  }
  if (offset <= 0 || offset > kMaxInstance || offset % 8 != 0) return RemoteAddr{};
  MEMSPY_TRY(dict, read<std::uint64_t>(memory_, instance + static_cast<std::uint64_t>(offset)));
  return RemoteAddr{dict};
}

Result<DictItems> ObjectReader::read_attributes(RemoteAddr instance) const {
  MEMSPY_TRY(type_address, type_of(instance));
  MEMSPY_TRY(type, read_type(type_address));
  const InstanceDictKind kind = layout_.strategies.instance_dict;
  RemoteAddr dict;
  if (kind == InstanceDictKind::kDictOffset || (type.flags & kTypeManagedDict) == 0) {
    MEMSPY_TRY(found, dict_slot(instance, type));
    dict = found;
  } else {
    MEMSPY_TRY(word, read<std::uint64_t>(memory_, instance - kManagedDictBefore));
    if (kind == InstanceDictKind::kTaggedWord && (word & 1) != 0) {
      return read_values(type.cached_keys, RemoteAddr{word + 1});
    }
    dict = RemoteAddr{word};
    if (!dict && kind == InstanceDictKind::kValuesAndDict) {
      MEMSPY_TRY(values, read<std::uint64_t>(memory_, instance - kManagedValuesBefore));
      return read_values(type.cached_keys, RemoteAddr{values});
    }
    if (!dict && kind == InstanceDictKind::kInlineValues && (type.flags & kTypeInlineValues) != 0) {
      if (type.basic_size <= 0 || type.basic_size > (1 << 24))
        return corrupt("type of impossible size", type_address);
      const RemoteAddr values = instance + static_cast<std::uint64_t>(type.basic_size);
      MEMSPY_TRY(valid, read_field(memory_, layout_, values, Field::kDictValuesValid));
      return valid != 0 ? read_values(type.cached_keys, values) : DictItems{};
    }
  }
  if (!is_plausible(dict)) return DictItems{};
  return read_dict(dict);
}

// Keys are read in batches, head and text at once: a dict of a thousand names costs a few calls.
Result<RemoteAddr> ObjectReader::find(const DictItems& items, std::string_view key) const {
  if (key.size() + layout_.offset(Field::kUnicodeCompactData) > kShortString) {
    return make_error(Errc::kInternal, "key too long to look for");
  }
  std::vector<std::array<std::byte, kShortString>> buffers(
      std::min(items.items.size(), kStringsPerBatch));
  std::vector<ReadRequest> requests;
  for (std::size_t begin = 0; begin < items.items.size(); begin += kStringsPerBatch) {
    const std::size_t count = std::min(kStringsPerBatch, items.items.size() - begin);
    requests.clear();
    for (std::size_t i = 0; i < count; ++i)
      requests.push_back({items.items[begin + i].key, buffers[i]});
    memory_.read_many(requests);
    for (std::size_t i = 0; i < count; ++i) {
      if (is_text(layout_, std::span(buffers[i]).first(requests[i].done), key)) {
        return items.items[begin + i].value;
      }
    }
  }
  return RemoteAddr{};
}

Result<RemoteAddr> ObjectReader::find_item(RemoteAddr dict, std::string_view key) const {
  MEMSPY_TRY(items, read_dict(dict));
  return find(items, key);
}

Result<RemoteAddr> ObjectReader::find_attribute(RemoteAddr instance, std::string_view name) const {
  MEMSPY_TRY(items, read_attributes(instance));
  if (items.items.size() > kMaxAttributes) items.items.resize(kMaxAttributes);
  return find(items, name);
}

}  // namespace memspy::cpython

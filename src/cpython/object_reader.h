// Python objects read from outside: types, strings, dicts and the attributes of instances. Bounded
// everywhere: a hostile or torn object gives an error or a cut, never a long walk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cpython/layout.h"
#include "cpython/remote_fields.h"

namespace memspy::cpython {

// A dict with more entries is read up to here. sys.modules of the largest programs has a few
// thousand.
inline constexpr std::uint64_t kMaxDictEntries = 65536;
inline constexpr std::size_t kMaxAttributes =
    1024;  // of an instance that are looked through for a name
inline constexpr std::size_t kMaxTypeName = 256;  // bytes
// Strings longer than this are taken for garbage by what reads names.
inline constexpr std::uint64_t kMaxStringLength = 1ULL << 32;

struct DictItem {
  RemoteAddr key;
  RemoteAddr value;
};
struct DictItems {
  std::vector<DictItem>
      items;               // in order of insertion where the dict keeps it (not of split tables)
  bool truncated = false;  // kMaxDictEntries reached
};

struct TypeInfo {
  RemoteAddr address;
  std::string name;         // tp_name: "int", "collections.OrderedDict"
  std::uint64_t flags = 0;  // tp_flags
  std::int64_t basic_size = 0, item_size = 0, dict_offset = 0;
  RemoteAddr cached_keys;  // of heap types
};

// Holds references: the layout and the memory must outlive it.
class ObjectReader {
 public:
  ObjectReader(const Layout& layout, const MemoryReader& memory)
      : layout_(layout), memory_(memory) {}

  Result<RemoteAddr> type_of(RemoteAddr object) const;
  Result<TypeInfo> read_type(RemoteAddr type) const;

  // A str as UTF-8, of at most `max_characters` code points; `cut` (may be null) tells whether
  // there were more. Lone surrogates become U+FFFD. The object must be a str: check its type
  // before.
  Result<std::string> read_str(RemoteAddr str, std::size_t max_characters,
                               bool* cut = nullptr) const;

  // An int that fits; kCorrupt for larger ones. The object must be an int (or a bool).
  Result<std::int64_t> read_int(RemoteAddr object) const;

  // All items of a dict (or of a subclass of dict).
  Result<DictItems> read_dict(RemoteAddr dict) const;
  // The value of a str key; a null address when there is none.
  Result<RemoteAddr> find_item(RemoteAddr dict, std::string_view key) const;

  // The keys of a table that instances share, in the order of their values; null for a hole.
  Result<std::vector<RemoteAddr>> read_split_keys(RemoteAddr keys) const;

  // The attributes in an instance's own dict, wherever this version keeps them. Empty when the
  // instance has no dict. Slots (__slots__) are not read.
  Result<DictItems> read_attributes(RemoteAddr instance) const;
  Result<RemoteAddr> find_attribute(RemoteAddr instance, std::string_view name) const;

 private:
  struct KeyTable;  // dk_* of a dict's keys
  Result<KeyTable> read_keys(RemoteAddr keys) const;
  Result<DictItems> collect(const KeyTable& table, RemoteAddr values,
                            std::uint64_t value_capacity) const;
  Result<DictItems> read_values(RemoteAddr keys, RemoteAddr values) const;
  Result<RemoteAddr> dict_slot(RemoteAddr instance, const TypeInfo& type) const;
  Result<RemoteAddr> find(const DictItems& items, std::string_view key) const;

  const Layout& layout_;
  const MemoryReader& memory_;
};

}  // namespace memspy::cpython

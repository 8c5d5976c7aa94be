// The plain objects of PyImageBuilder: strings, numbers, containers.
#include <algorithm>
#include <cstring>

#include "cpython/strategies.h"
#include "support/py_image_builder.h"

namespace memspy::testing {
namespace {

using cpython::Field;
using cpython::Struct;

template <typename Unit>
std::vector<std::byte> as_units(std::u32string_view text) {
  std::vector<Unit> units(text.begin(), text.end());
  units.push_back(0);
  const auto bytes = std::as_bytes(std::span(units));
  return {bytes.begin(), bytes.end()};
}

// Enough of UTF-8 for names in tests.
std::u32string decode(std::string_view utf8) {
  std::u32string text;
  for (std::size_t i = 0; i < utf8.size();) {
    const auto lead = static_cast<unsigned char>(utf8[i++]);
    char32_t c = lead < 0x80   ? lead
                 : lead < 0xe0 ? lead & 0x1fU
                 : lead < 0xf0 ? lead & 0xfU
                               : lead & 7U;
    for (int tail = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3; tail > 0; --tail) {
      c = c << 6 | (static_cast<unsigned char>(utf8[i++]) & 0x3fU);
    }
    text.push_back(c);
  }
  return text;
}

}  // namespace

RemoteAddr PyImageBuilder::add_str(std::string_view utf8) { return add_str(decode(utf8)); }

RemoteAddr PyImageBuilder::add_str(std::u32string_view text) {
  const char32_t top = text.empty() ? 0 : *std::max_element(text.begin(), text.end());
  const bool ascii = top < 0x80;
  const std::uint32_t width = top < 0x100 ? 1 : top < 0x10000 ? 2 : 4;
  const auto data = width == 1   ? as_units<std::uint8_t>(text)
                    : width == 2 ? as_units<std::uint16_t>(text)
                                 : as_units<std::uint32_t>(text);
  const std::size_t head =
      layout_.offset(ascii ? Field::kUnicodeAsciiData : Field::kUnicodeCompactData);
  const RemoteAddr str = new_object("str", head + data.size(), cpython::kTypeUnicodeSubclass);
  put(str, Field::kUnicodeLength, text.size());
  std::uint32_t state = width << cpython::kUnicodeStateKindShift | cpython::kUnicodeStateCompact;
  if (ascii) state |= cpython::kUnicodeStateAscii;
  if (layout_.strategies.unicode == cpython::UnicodeKind::kReadyBit)
    state |= cpython::kUnicodeStateReady;
  put(str, Field::kUnicodeState, state);
  memory_.write_bytes(str + head, data);
  return str;
}

RemoteAddr PyImageBuilder::add_bytes(std::string_view bytes) {
  const std::size_t head = layout_.offset(Field::kBytesData);
  const RemoteAddr object =
      new_object("bytes", head + bytes.size() + 1, cpython::kTypeBytesSubclass);
  put(object, Field::kVarObjectSize, bytes.size());
  memory_.write_bytes(object + head, std::as_bytes(std::span(bytes)));
  return object;
}

RemoteAddr PyImageBuilder::add_int(std::int64_t value) {
  std::vector<std::uint32_t> digits;
  const bool negative = value < 0;
  auto rest = negative ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
  for (; rest != 0; rest >>= 30) digits.push_back(rest & 0x3fffffff);
  return add_digits(digits, negative);
}

RemoteAddr PyImageBuilder::add_digits(const std::vector<std::uint32_t>& digits, bool negative) {
  const std::size_t head = layout_.offset(Field::kLongDigits);
  const RemoteAddr object = new_object("int", head + 4 * std::max<std::size_t>(digits.size(), 1),
                                       cpython::kTypeLongSubclass);
  if (layout_.strategies.integers == cpython::LongKind::kTag) {
    const std::uint64_t sign = digits.empty() ? 1 : negative ? 2 : 0;
    put(object, Field::kLongTag, digits.size() << 3 | sign);
  } else {
    put(object, Field::kVarObjectSize,
        negative ? ~std::uint64_t{digits.size()} + 1 : digits.size());
  }
  memory_.write_bytes(object + head, std::as_bytes(std::span(digits)));
  return object;
}

RemoteAddr PyImageBuilder::add_float(double value) {
  const RemoteAddr object = new_object("float", layout_.size(Struct::kFloat));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  put(object, Field::kFloatValue, bits);
  return object;
}

RemoteAddr PyImageBuilder::add_tuple(const std::vector<RemoteAddr>& items) {
  const std::size_t head = layout_.offset(Field::kTupleItems);
  const RemoteAddr object =
      new_object("tuple", head + kWord * items.size(), cpython::kTypeTupleSubclass);
  put(object, Field::kVarObjectSize, items.size());
  for (std::size_t i = 0; i < items.size(); ++i)
    memory_.write(object + head + kWord * i, items[i].value);
  return object;
}

RemoteAddr PyImageBuilder::add_list(const std::vector<RemoteAddr>& items) {
  const RemoteAddr object =
      new_object("list", layout_.size(Struct::kList), cpython::kTypeListSubclass);
  const RemoteAddr array = allocate(kWord * (items.size() + 1));
  put(object, Field::kVarObjectSize, items.size());
  put(object, Field::kListItems, array.value);
  put(object, Field::kListAllocated, items.size() + 1);
  for (std::size_t i = 0; i < items.size(); ++i) memory_.write(array + kWord * i, items[i].value);
  return object;
}

RemoteAddr PyImageBuilder::add_dict(const std::vector<std::pair<RemoteAddr, RemoteAddr>>& items) {
  std::uint64_t log2_size = 3;
  while ((std::uint64_t{1} << log2_size) * 2 / 3 < items.size()) ++log2_size;
  const std::uint64_t size = std::uint64_t{1}
                             << log2_size;  // at most 256 entries: indices of one byte
  const std::size_t entries = layout_.offset(Field::kDictKeysIndices) + size;
  const RemoteAddr keys = allocate(entries + 3 * kWord * size);
  put(keys, Field::kDictKeysRefcount, 1);
  put(keys, Field::kDictKeysSize, size);
  put(keys, Field::kDictKeysLog2Size, log2_size);
  put(keys, Field::kDictKeysLog2IndexBytes, log2_size);
  put(keys, Field::kDictKeysEntryCount, items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const RemoteAddr entry = keys + entries + 3 * kWord * i;
    memory_.write(entry + kWord, items[i].first.value);
    memory_.write(entry + 2 * kWord, items[i].second.value);
  }
  const RemoteAddr object =
      new_object("dict", layout_.size(Struct::kDict), cpython::kTypeDictSubclass);
  put(object, Field::kDictUsed, items.size());
  put(object, Field::kDictKeys, keys.value);
  return object;
}

RemoteAddr PyImageBuilder::add_set(const std::vector<RemoteAddr>& items) {
  std::uint64_t slots = 8;
  while (slots < 2 * items.size()) slots *= 2;
  const RemoteAddr table = allocate(2 * kWord * slots);
  for (std::size_t i = 0; i < items.size(); ++i) {
    memory_.write(table + 2 * kWord * (2 * i), items[i].value);
    memory_.write(table + 2 * kWord * (2 * i) + kWord, std::uint64_t{i});
  }
  const RemoteAddr object = new_object("set", layout_.size(Struct::kSet));
  put(object, Field::kSetFill, items.size());
  put(object, Field::kSetUsed, items.size());
  put(object, Field::kSetMask, slots - 1);
  put(object, Field::kSetTable, table.value);
  return object;
}

RemoteAddr PyImageBuilder::add_cell(RemoteAddr contents) {
  const RemoteAddr object = new_object("cell", layout_.size(Struct::kCell));
  put(object, Field::kCellContents, contents.value);
  return object;
}

RemoteAddr PyImageBuilder::add_bool(bool value) {
  const std::size_t size = layout_.offset(Field::kLongDigits) + sizeof(std::uint32_t);
  const RemoteAddr object = new_object("bool", size, cpython::kTypeLongSubclass);
  put(object, Field::kLongDigits, value ? 1 : 0);
  return object;
}

RemoteAddr PyImageBuilder::add_module(std::string_view name) {
  const RemoteAddr object = new_object("module", layout_.size(Struct::kModule));
  put(object, Field::kModuleName, add_str(name).value);
  return object;
}

RemoteAddr PyImageBuilder::add_function(std::string_view qualname) {
  const RemoteAddr object = new_object("function", layout_.size(Struct::kFunction));
  put(object, Field::kFunctionQualname, add_str(qualname).value);
  return object;
}

RemoteAddr PyImageBuilder::add_class(std::string_view module, std::string_view qualname,
                                     std::uint64_t flags) {
  const RemoteAddr made = add_type(qualname, flags | cpython::kTypeHeapType);
  put(made, Field::kHeapTypeQualname, add_str(qualname).value);
  put(made, Field::kTypeDict, add_dict({{add_str("__module__"), add_str(module)}}).value);
  return made;
}

}  // namespace memspy::testing

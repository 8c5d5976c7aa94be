#include "cpython/object_repr.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "cpython/remote_fields.h"
#include "cpython/value_text.h"

namespace memspy::cpython {
namespace {

constexpr int kMaxDepth = 3;
constexpr std::size_t kMaxItems = 10;                       // shown of one container
constexpr std::size_t kMaxObjects = 200;                    // looked at for one representation
constexpr std::uint64_t kMaxIntDigits = 64;                 // of 30 bits: some 570 decimal digits
constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 40;  // of a container; more is none
constexpr std::uint64_t kMaxSetSlots = 1024;                // looked at to find the first items
constexpr std::size_t kMaxNameCharacters = 256;
constexpr std::size_t kMaxTypes = 4096;  // remembered

constexpr std::string_view kEllipsis = "…";

Error corrupt(std::string_view what, RemoteAddr at) {
  return make_error(Errc::kCorrupt, fmt::format("{} at {:#x}", what, at.value));
}

}  // namespace

ObjectRepr::ObjectRepr(const Layout& layout, const MemoryReader& memory)
    : layout_(&layout), memory_(&memory), objects_(layout, memory) {}

std::string ObjectRepr::repr(RemoteAddr object, std::size_t cap) {
  out_.clear();
  cap_ = cap;
  objects_left_ = kMaxObjects;
  print(object, 0);
  return std::move(out_);
}

bool ObjectRepr::is_cell(RemoteAddr object) { return type_of(object).kind == Kind::kCell; }

std::string ObjectRepr::type_name(RemoteAddr type) { return read_type(type).name; }

std::string ObjectRepr::full_name(const TypeInfo& type) {
  if ((type.flags & kTypeHeapType) == 0) return type.name;
  const auto qualname = read_pointer(*memory_, *layout_, type.address, Field::kHeapTypeQualname);
  const auto dict = read_pointer(*memory_, *layout_, type.address, Field::kTypeDict);
  if (!qualname || !dict) return type.name;
  auto name = objects_.read_str(*qualname, kMaxNameCharacters);
  if (!name) return type.name;
  const auto key = objects_.find_item(*dict, "__module__");
  if (!key || !*key) return *name;
  const auto module = objects_.read_str(*key, kMaxNameCharacters);
  if (!module || *module == "builtins") return *name;
  return *module + "." + *name;
}

ObjectRepr::KnownType ObjectRepr::read_type(RemoteAddr type) {
  struct Builtin {
    std::string_view name;
    Kind kind;
  };
  constexpr Builtin kBuiltins[] = {{"NoneType", Kind::kNone},
                                   {"bool", Kind::kBool},
                                   {"int", Kind::kInt},
                                   {"float", Kind::kFloat},
                                   {"str", Kind::kStr},
                                   {"bytes", Kind::kBytes},
                                   {"tuple", Kind::kTuple},
                                   {"list", Kind::kList},
                                   {"dict", Kind::kDict},
                                   {"set", Kind::kSet},
                                   {"frozenset", Kind::kFrozenSet},
                                   {"function", Kind::kFunction},
                                   {"module", Kind::kModule},
                                   {"type", Kind::kType},
                                   {"cell", Kind::kCell}};
  struct Base {
    std::uint64_t flag;
    Kind kind;
  };
  constexpr Base kBases[] = {{kTypeLongSubclass, Kind::kInt},    {kTypeListSubclass, Kind::kList},
                             {kTypeTupleSubclass, Kind::kTuple}, {kTypeBytesSubclass, Kind::kBytes},
                             {kTypeUnicodeSubclass, Kind::kStr}, {kTypeDictSubclass, Kind::kDict},
                             {kTypeTypeSubclass, Kind::kType}};
  const auto info = objects_.read_type(type);
  if (!info) return {"?", Kind::kOther, false};
  KnownType known{full_name(*info), Kind::kOther, false};
  if ((info->flags & kTypeHeapType) == 0) {
    for (const Builtin& builtin : kBuiltins) {
      if (builtin.name == known.name) known.kind = builtin.kind;
    }
    if (known.kind != Kind::kOther) return known;
  }
  for (const Base& base : kBases) {
    if ((info->flags & base.flag) == 0) continue;
    known.kind = base.kind;
    known.subclass = true;
    break;
  }
  return known;
}

const ObjectRepr::KnownType& ObjectRepr::type_of(RemoteAddr object) {
  static const KnownType unknown{"?", Kind::kOther, false};
  const auto type = objects_.type_of(object);
  if (!type) return unknown;
  const auto found = types_.find(*type);
  if (found != types_.end()) return found->second;
  if (types_.size() >= kMaxTypes) types_.clear();
  return types_.emplace(*type, read_type(*type)).first->second;
}

Result<std::uint64_t> ObjectRepr::size_of(RemoteAddr object) const {
  MEMSPY_TRY(size, read_field(*memory_, *layout_, object, Field::kVarObjectSize));
  if (size > kMaxSize) return corrupt("container of impossible size", object);
  return size;
}

void ObjectRepr::print(RemoteAddr object, int depth) {
  if (full()) {
    out_ += kEllipsis;
    return;
  }
  --objects_left_;
  if (!is_plausible(object)) {
    out_ += fmt::format("<no object {:#x}>", object.value);
    return;
  }
  const KnownType type = type_of(object);  // a copy: items may add types
  const std::size_t before = out_.size();
  const bool wrapped = type.subclass && type.kind != Kind::kType;
  if (wrapped) out_ += type.name + "(";
  if (type.kind == Kind::kOther || !print_value(object, type.kind, depth).has_value()) {
    out_.resize(before);
    print_opaque(object);
  } else if (wrapped) {
    out_ += ")";
  }
}

void ObjectRepr::print_opaque(RemoteAddr object) {
  out_ += fmt::format("<{} at {:#x}>", type_of(object).name, object.value);
}

Result<Unit> ObjectRepr::print_value(RemoteAddr object, Kind kind, int depth) {
  switch (kind) {
    case Kind::kNone:
      out_ += "None";
      return Unit{};
    case Kind::kBool:
    case Kind::kInt:
      if (kind == Kind::kInt) return print_int(object);
      break;
    case Kind::kFloat:
      return print_float(object);
    case Kind::kStr:
      return print_str(object);
    case Kind::kBytes:
      return print_bytes(object);
    case Kind::kTuple:
      return print_tuple(object, depth);
    case Kind::kList:
      return print_list(object, depth);
    case Kind::kDict:
      return print_dict(object, depth);
    case Kind::kSet:
      return print_set(object, depth);
    case Kind::kFrozenSet: {
      out_ += "frozenset(";
      MEMSPY_CHECK(print_set(object, depth));
      out_ += ")";
      return Unit{};
    }
    case Kind::kModule:
      return print_module(object);
    case Kind::kType:
      out_ += fmt::format("<class '{}'>", type_name(object));
      return Unit{};
    case Kind::kFunction:
      return print_function(object);
    case Kind::kCell:
    case Kind::kOther:
      return corrupt("nothing to show", object);
  }
  // bool: the value is an int of one digit or none
  MEMSPY_TRY(digit, read_field(*memory_, *layout_, object, Field::kLongDigits));
  out_ += digit != 0 ? "True" : "False";
  return Unit{};
}

Result<Unit> ObjectRepr::print_int(RemoteAddr object) {
  const bool tagged = layout_->strategies.integers == LongKind::kTag;
  const Field field = tagged ? Field::kLongTag : Field::kVarObjectSize;
  MEMSPY_TRY(word, read_field(*memory_, *layout_, object, field));
  bool negative = (word & 3) == 2;
  std::uint64_t count = word >> 3;
  if (!tagged) {
    negative = static_cast<std::int64_t>(word) < 0;
    count = negative ? ~word + 1 : word;
  }
  if (count > kMaxIntDigits) {
    constexpr std::uint64_t kBitsPerDigit = 30;
    if (count > kMaxSize) return corrupt("int of impossible size", object);
    out_ += fmt::format("<int of {} bits>", count * kBitsPerDigit);
    return Unit{};
  }
  std::vector<std::uint32_t> digits(count);
  if (count != 0) {
    const RemoteAddr first = object + layout_->offset(Field::kLongDigits);
    MEMSPY_CHECK(read_exact(*memory_, first, std::as_writable_bytes(std::span(digits))));
  }
  out_ += decimal(digits, negative);
  return Unit{};
}

Result<Unit> ObjectRepr::print_float(RemoteAddr object) {
  MEMSPY_TRY(value, read<double>(*memory_, object + layout_->offset(Field::kFloatValue)));
  out_ += float_repr(value);
  return Unit{};
}

Result<Unit> ObjectRepr::print_str(RemoteAddr object) {
  bool cut = false;
  MEMSPY_TRY(text, objects_.read_str(object, room(), &cut));
  out_ += str_repr(text);
  if (cut) out_ += kEllipsis;
  return Unit{};
}

Result<Unit> ObjectRepr::print_bytes(RemoteAddr object) {
  MEMSPY_TRY(size, size_of(object));
  std::string bytes(std::min<std::uint64_t>(size, room()), '\0');
  const auto target = std::as_writable_bytes(std::span(bytes));
  MEMSPY_CHECK(read_exact(*memory_, object + layout_->offset(Field::kBytesData), target));
  out_ += bytes_repr(bytes);
  if (bytes.size() < size) out_ += kEllipsis;
  return Unit{};
}

Result<Unit> ObjectRepr::print_array(RemoteAddr first, std::uint64_t count, int depth) {
  if (count == 0) return Unit{};
  if (depth >= kMaxDepth) {
    out_ += kEllipsis;
    return Unit{};
  }
  std::vector<std::uint64_t> items(std::min<std::uint64_t>(count, kMaxItems));
  MEMSPY_CHECK(read_exact(*memory_, first, std::as_writable_bytes(std::span(items))));
  for (std::size_t i = 0; i < items.size() && !full(); ++i) {
    if (i != 0) out_ += ", ";
    print(RemoteAddr{items[i]}, depth + 1);
  }
  if (items.size() < count || full()) out_ += fmt::format(", {}", kEllipsis);
  return Unit{};
}

Result<Unit> ObjectRepr::print_tuple(RemoteAddr object, int depth) {
  MEMSPY_TRY(count, size_of(object));
  out_ += "(";
  MEMSPY_CHECK(print_array(object + layout_->offset(Field::kTupleItems), count, depth));
  out_ += count == 1 ? ",)" : ")";
  return Unit{};
}

Result<Unit> ObjectRepr::print_list(RemoteAddr object, int depth) {
  MEMSPY_TRY(count, size_of(object));
  MEMSPY_TRY(items, read_pointer(*memory_, *layout_, object, Field::kListItems));
  out_ += "[";
  MEMSPY_CHECK(print_array(items, count, depth));
  out_ += "]";
  return Unit{};
}

Result<Unit> ObjectRepr::print_dict(RemoteAddr object, int depth) {
  MEMSPY_TRY(used, read_field(*memory_, *layout_, object, Field::kDictUsed));
  out_ += "{";
  if (used != 0 && depth < kMaxDepth) {
    MEMSPY_TRY(dict, objects_.read_dict(object));
    const std::size_t count = std::min(dict.items.size(), kMaxItems);
    for (std::size_t i = 0; i < count && !full(); ++i) {
      if (i != 0) out_ += ", ";
      print(dict.items[i].key, depth + 1);
      out_ += ": ";
      print(dict.items[i].value, depth + 1);
    }
    if (count < dict.items.size() || full()) out_ += fmt::format(", {}", kEllipsis);
  } else if (used != 0) {
    out_ += kEllipsis;
  }
  out_ += "}";
  return Unit{};
}

Result<Unit> ObjectRepr::print_set(RemoteAddr object, int depth) {
  MEMSPY_TRY(used, read_field(*memory_, *layout_, object, Field::kSetUsed));
  MEMSPY_TRY(mask, read_field(*memory_, *layout_, object, Field::kSetMask));
  MEMSPY_TRY(table, read_pointer(*memory_, *layout_, object, Field::kSetTable));
  if (used > mask || mask > kMaxSize) return corrupt("set of impossible size", object);
  if (used == 0) {
    out_ += "set()";
    return Unit{};
  }
  struct Entry {
    std::uint64_t key, hash;
  };
  constexpr std::uint64_t kDummyHash = ~std::uint64_t{0};  // a deleted item
  std::vector<Entry> slots(std::min(mask + 1, kMaxSetSlots));
  MEMSPY_CHECK(read_exact(*memory_, table, std::as_writable_bytes(std::span(slots))));
  out_ += "{";
  std::size_t shown = 0;
  for (const Entry& slot : slots) {
    if (slot.key == 0 || slot.hash == kDummyHash) continue;
    if (depth >= kMaxDepth || shown == kMaxItems || full()) break;
    if (shown++ != 0) out_ += ", ";
    print(RemoteAddr{slot.key}, depth + 1);
  }
  if (shown < used) out_ += fmt::format("{}{}", shown == 0 ? "" : ", ", kEllipsis);
  out_ += "}";
  return Unit{};
}

Result<Unit> ObjectRepr::print_module(RemoteAddr object) {
  MEMSPY_TRY(name, read_pointer(*memory_, *layout_, object, Field::kModuleName));
  if (type_of(name).kind != Kind::kStr) return corrupt("module without a name", object);
  MEMSPY_TRY(text, objects_.read_str(name, kMaxNameCharacters));
  out_ += fmt::format("<module {}>", str_repr(text));
  return Unit{};
}

Result<Unit> ObjectRepr::print_function(RemoteAddr object) {
  MEMSPY_TRY(name, read_pointer(*memory_, *layout_, object, Field::kFunctionQualname));
  if (type_of(name).kind != Kind::kStr) return corrupt("function without a name", object);
  MEMSPY_TRY(text, objects_.read_str(name, kMaxNameCharacters));
  out_ += fmt::format("<function {} at {:#x}>", text, object.value);
  return Unit{};
}

}  // namespace memspy::cpython

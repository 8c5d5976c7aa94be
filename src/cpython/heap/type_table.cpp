#include "cpython/heap/type_table.h"

#include <algorithm>

#include "cpython/heap/type_rules.h"
#include "cpython/object_reader.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

constexpr int kMaxBases = 64;               // of one another; deeper chains are taken for garbage
constexpr std::int64_t kMinBasicSize = 16;  // an object's head
constexpr std::int64_t kMaxBasicSize = 1 << 24;
constexpr std::int64_t kMaxItemSize = 1 << 20;
constexpr std::uint64_t kMaxSlots = 4096;  // of one class
constexpr std::size_t kMaxNameCharacters = 512;
constexpr std::size_t kMaxTypes = std::size_t{1} << 22;
constexpr std::size_t kMaxRejected = std::size_t{1}
                                     << 16;  // remembered candidates that are no types
// Of PyMemberDef: T_OBJECT (null reads as None) and T_OBJECT_EX (null: no attribute).
constexpr std::uint64_t kMemberObject = 6, kMemberObjectEx = 16;

// Addresses of types to their number; open addressing, because every object of the heap asks.
class AddressTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  std::uint32_t find(std::uint64_t key) const {
    for (std::size_t at = hash(key);; ++at) {
      const Entry& entry = entries_[at & mask_];
      if (entry.key == key) return entry.value;
      if (entry.key == 0) return kNone;
    }
  }
  void insert(std::uint64_t key, std::uint32_t value) {
    if (2 * ++used_ > entries_.size()) grow();
    place(key, value);
  }

 private:
  struct Entry {
    std::uint64_t key = 0;
    std::uint32_t value = 0;
  };
  static std::size_t hash(std::uint64_t key) {
    return static_cast<std::size_t>((key >> 3) * 0x9e3779b97f4a7c15ULL >> 20);
  }
  void place(std::uint64_t key, std::uint32_t value) {
    std::size_t at = hash(key);
    while (entries_[at & mask_].key != 0) ++at;
    entries_[at & mask_] = {key, value};
  }
  void grow() {
    std::vector<Entry> old(entries_.size() * 2);
    old.swap(entries_);
    mask_ = entries_.size() - 1;
    for (const Entry& entry : old) {
      if (entry.key != 0) place(entry.key, entry.value);
    }
  }

  std::vector<Entry> entries_ = std::vector<Entry>(4096);
  std::size_t mask_ = 4095, used_ = 0;
};

bool is_name(std::string_view name) {
  return std::none_of(name.begin(), name.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

RemoteAddr find_symbol(const SymbolSource& symbols, std::string_view name) {
  for (const ModuleImage* module : symbols.modules()) {
    if (const auto found = module->find_symbol(name)) return *found;
  }
  return {};
}

}  // namespace

struct TypeTable::Impl {
  Impl(const Interpreter& interpreter_in, HeapBytes& bytes_in, const SymbolSource& symbols,
       ObjectVisitor* visitor)
      : interpreter(interpreter_in),
        layout(interpreter_in.layout()),
        bytes(bytes_in),
        names(visitor),
        reader(layout, bytes_in.memory()) {
    type_type = find_symbol(symbols, "PyType_Type");
    // Fully stripped: what every type's type is in the end, from the one type that is known.
    if (!type_type) type_type = pointer(interpreter.anchors().code_type, Field::kObjectType);
    for (const KnownType& known : known_types()) {
      if (known.symbol.empty()) continue;
      if (const RemoteAddr at = find_symbol(symbols, known.symbol)) by_symbol.emplace(at, &known);
    }
    subtype_traverse = find_symbol(symbols, "subtype_traverse");
    subtype_dealloc = find_symbol(symbols, "subtype_dealloc");
    if (!subtype_traverse || !subtype_dealloc) learn_subtype_traverse();
    for (const ModuleImage* module : symbols.modules()) {
      const auto segments = module->writable_segments();
      data.insert(data.end(), segments.begin(), segments.end());
    }
  }

  RemoteAddr pointer(RemoteAddr base, Field field) {
    return layout.has(field) ? bytes.pointer(base + layout.offset(field)) : RemoteAddr{};
  }
  std::uint64_t get(RemoteAddr base, Field field) {
    return layout.has(field) ? bytes.word(base + layout.offset(field)) : 0;
  }

  void learn_subtype_traverse();
  bool is_metatype(RemoteAddr type);
  bool is_never_readied(const TypeFacts& facts);
  bool fill(TypeFacts& facts);
  std::string read_c_name(RemoteAddr type);
  std::string full_name(const TypeFacts& facts);
  std::string read_attribute_str(RemoteAddr str);
  const KnownType* known_type(const TypeFacts& facts) const;
  void inherit(TypeFacts& facts, const TypeFacts* base) const;
  void read_slots(TypeFacts& facts, const TypeFacts* base, TypeTable& table);
  void add_member(TypeFacts& facts, RemoteAddr member, TypeTable& table, bool slots_only);

  const Interpreter& interpreter;
  const Layout& layout;
  HeapBytes& bytes;
  ObjectVisitor* names;
  ObjectReader reader;
  RemoteAddr type_type, subtype_traverse, subtype_dealloc;
  std::unordered_map<RemoteAddr, const KnownType*> by_symbol;
  std::unordered_map<RemoteAddr, bool> metatypes;
  std::vector<AddressRange> data;  // of files: where static types lie
  AddressTable numbers;
  std::size_t rejected = 0;
  int nesting = 0;  // of bases being found for one another
  std::unordered_map<std::string, NameIndex> interned;
};

// Every interpreter has imported its frozen importlib, whose classes are classes like any other.
void TypeTable::Impl::learn_subtype_traverse() {
  const auto interpreters = list_interpreters(bytes.memory(), layout, interpreter.anchors());
  if (!interpreters) return;
  const RemoteAddr modules = pointer(interpreters->back().address, Field::kInterpreterModules);
  const auto module = reader.find_item(modules, "_frozen_importlib");
  if (!module || !*module) return;
  const auto found = reader.find_item(pointer(*module, Field::kModuleDict), "ModuleSpec");
  if (!found || !*found) return;
  if ((get(*found, Field::kTypeFlags) & kTypeHeapType) == 0) return;
  subtype_traverse = pointer(*found, Field::kTypeTraverse);
  subtype_dealloc = pointer(*found, Field::kTypeDealloc);
}

bool TypeTable::Impl::is_metatype(RemoteAddr type) {
  if (type == type_type) return true;
  const auto seen = metatypes.find(type);
  if (seen != metatypes.end()) return seen->second;
  bool descends = false;
  RemoteAddr at = type;
  for (int depth = 0; depth < kMaxBases && is_plausible(at) && !descends; ++depth) {
    at = pointer(at, Field::kTypeBase);
    descends = at == type_type && type_type;
  }
  if (metatypes.size() < kMaxRejected) metatypes.emplace(type, descends);
  return descends;
}

std::string TypeTable::Impl::read_c_name(RemoteAddr type) {
  const auto name =
      read_c_string(bytes.memory(), pointer(type, Field::kTypeName), kMaxNameCharacters);
  return name && is_name(*name) ? *name : std::string();
}

std::string TypeTable::Impl::read_attribute_str(RemoteAddr str) {
  if (!is_plausible(str)) return {};
  const RemoteAddr type = pointer(str, Field::kObjectType);
  if ((get(type, Field::kTypeFlags) & kTypeUnicodeSubclass) == 0) return {};
  const auto text = reader.read_str(str, kMaxNameCharacters);
  return text && is_name(*text) ? *text : std::string();
}

// "module.QualName", as repr() of the type would say. The qualified name of a heap type and its
// module are attributes; a static type has one C string for both.
std::string TypeTable::Impl::full_name(const TypeFacts& facts) {
  const auto qualified = [](const std::string& name) {
    return name.find('.') == std::string::npos ? "builtins." + name : name;
  };
  if (!facts.heap_type()) return qualified(facts.c_name);
  const std::string name = read_attribute_str(pointer(facts.address, Field::kHeapTypeQualname));
  std::string module;
  const auto attribute = reader.find_item(pointer(facts.address, Field::kTypeDict), "__module__");
  if (attribute) module = read_attribute_str(*attribute);
  if (name.empty()) return qualified(facts.c_name);
  return (module.empty() ? "builtins" : module) + "." + name;
}

const KnownType* TypeTable::Impl::known_type(const TypeFacts& facts) const {
  if (const auto found = by_symbol.find(facts.address); found != by_symbol.end()) {
    return found->second;
  }
  if (facts.python_class) return nullptr;
  for (const KnownType& known : known_types()) {
    if (known.name != facts.c_name) continue;
    // What the interpreter exports is known by its address, if anything is exported.
    if (!known.symbol.empty() && (!by_symbol.empty() && facts.heap_type())) return nullptr;
    const bool checked = known.structure != Struct::kObject;
    const auto size = static_cast<std::int64_t>(layout.size(known.structure));
    return checked && facts.basic_size != size ? nullptr : &known;
  }
  return nullptr;
}

void TypeTable::Impl::inherit(TypeFacts& facts, const TypeFacts* base) const {
  if (!facts.python_class) facts.buffers = buffer_rule_of(facts.c_name);
  if (facts.buffers == BufferRule::kNone && base != nullptr) facts.buffers = base->buffers;
  if (const KnownType* known = known_type(facts)) {
    facts.rule = known->rule;
  } else if (base != nullptr) {
    // A C type right below `object` is one that memspy has no rule for; a Python class is one.
    const bool plain = base->rule == TypeRule::kObject && !facts.python_class;
    facts.rule = plain ? TypeRule::kPlain : base->rule;
  }
}

void TypeTable::Impl::add_member(TypeFacts& facts, RemoteAddr member, TypeTable& table,
                                 bool slots_only) {
  const std::uint64_t type = bytes.load(member + layout.offset(Field::kMemberType), 4);
  const std::uint64_t offset = get(member, Field::kMemberOffset);
  if (type != kMemberObjectEx && (slots_only || type != kMemberObject)) return;
  if (offset % 8 != 0 || offset < static_cast<std::uint64_t>(kMinBasicSize) ||
      offset + 8 > static_cast<std::uint64_t>(facts.basic_size)) {
    return;
  }
  const bool there = std::any_of(facts.slots.begin(), facts.slots.end(),
                                 [&](const auto& slot) { return slot.offset == offset; });
  if (there) return;
  const auto name =
      read_c_string(bytes.memory(), pointer(member, Field::kMemberName), kMaxNameCharacters);
  facts.slots.push_back({static_cast<std::uint32_t>(offset),
                         table.intern(name && is_name(*name) ? *name : std::string())});
}

// __slots__ are members that stand right behind the type object; C types point to theirs.
void TypeTable::Impl::read_slots(TypeFacts& facts, const TypeFacts* base, TypeTable& table) {
  if (base != nullptr) facts.slots = base->slots;
  if (!layout.has(Field::kMemberOffset)) return;
  const std::uint64_t stride = layout.size(Struct::kMember);
  if (facts.python_class) {
    const std::uint64_t count = get(facts.address, Field::kVarObjectSize);
    const std::uint64_t start = get(facts.metatype, Field::kTypeBasicSize);
    if (count > kMaxSlots || start > static_cast<std::uint64_t>(kMaxBasicSize)) return;
    for (std::uint64_t i = 0; i < count; ++i) {
      add_member(facts, facts.address + start + i * stride, table, true);
    }
  } else if (facts.rule == TypeRule::kPlain) {
    RemoteAddr member = pointer(facts.address, Field::kTypeMembers);
    for (std::uint64_t i = 0; i < kMaxSlots && is_plausible(member);
         ++i, member = member + stride) {
      if (!pointer(member, Field::kMemberName)) break;
      add_member(facts, member, table, false);
    }
  }
}

// Some modules' types were never given to PyType_Ready() (array's iterator and the links of an
// lru_cache up to 3.9): static, without a dict and a base, and used all the same.
bool TypeTable::Impl::is_never_readied(const TypeFacts& facts) {
  const bool in_a_file = std::any_of(data.begin(), data.end(), [&](const AddressRange& segment) {
    return facts.address.value - segment.start.value < segment.size;
  });
  return in_a_file && facts.metatype == type_type && !facts.heap_type() && !facts.base &&
         !pointer(facts.address, Field::kTypeDict) && !pointer(facts.address, Field::kTypeMro) &&
         is_plausible(pointer(facts.address, Field::kTypeDealloc));
}

// False: these bytes are not a type that objects may have.
bool TypeTable::Impl::fill(TypeFacts& facts) {
  const RemoteAddr type = facts.address;
  facts.flags = get(type, Field::kTypeFlags);
  facts.basic_size = static_cast<std::int64_t>(get(type, Field::kTypeBasicSize));
  facts.item_size = static_cast<std::int64_t>(get(type, Field::kTypeItemSize));
  facts.dict_offset = static_cast<std::int64_t>(get(type, Field::kTypeDictOffset));
  facts.weaklist_offset = static_cast<std::int64_t>(get(type, Field::kTypeWeakListOffset));
  facts.base = pointer(type, Field::kTypeBase);
  const bool ready = (facts.flags & kTypeReady) != 0 && pointer(type, Field::kTypeMro);
  if (!ready && !is_never_readied(facts)) return false;
  if (facts.basic_size < kMinBasicSize || facts.basic_size > kMaxBasicSize) return false;
  if (facts.item_size < 0 || facts.item_size > kMaxItemSize) return false;
  facts.c_name = read_c_name(type);
  if (facts.c_name.empty() && !facts.heap_type()) return false;
  const RemoteAddr traverse = pointer(type, Field::kTypeTraverse);
  facts.traverses = facts.has_gc() && traverse;
  if (facts.heap_type()) {
    facts.cached_keys = pointer(type, Field::kHeapTypeCachedKeys);
    if (!is_plausible(facts.cached_keys)) facts.cached_keys = {};
    // Without the collector (an int with empty __slots__) the destructor tells a class statement.
    const bool by_dealloc =
        subtype_dealloc && pointer(type, Field::kTypeDealloc) == subtype_dealloc;
    facts.python_class = subtype_traverse && facts.has_gc() ? traverse == subtype_traverse
                         : subtype_traverse                 ? by_dealloc
                                                            : true;
  }
  if (facts.has_gc()) facts.head_bytes += layout.size(Struct::kGcHead);
  const InstanceDictKind kind = layout.strategies.instance_dict;
  std::uint64_t managed = 0;
  if (kind != InstanceDictKind::kDictOffset) managed |= kTypeManagedDict;
  if (kind != InstanceDictKind::kDictOffset && kind != InstanceDictKind::kValuesAndDict) {
    managed |= kTypeManagedWeakref;
  }
  if ((facts.flags & managed) != 0) facts.head_bytes += 2 * sizeof(std::uint64_t);
  return true;
}

TypeTable::TypeTable(const Interpreter& interpreter, HeapBytes& bytes, const SymbolSource& symbols,
                     ObjectVisitor* names)
    : impl_(std::make_unique<Impl>(interpreter, bytes, symbols, names)) {
  impl_->interned.emplace("", NameIndex{0});
}

TypeTable::~TypeTable() = default;

const TypeFacts* TypeTable::find(RemoteAddr address) {
  // First: 0 is what the table's empty places hold, and would find the first type there is.
  if (!is_plausible(address)) return nullptr;
  const std::uint32_t seen = impl_->numbers.find(address.value);
  if (seen != AddressTable::kNone) return seen < types_.size() ? types_[seen].get() : nullptr;
  // Bases are found before the type itself: hostile memory may claim a chain without an end.
  if (impl_->nesting >= kMaxBases) return nullptr;
  const RemoteAddr metatype = impl_->pointer(address, Field::kObjectType);
  if (!is_plausible(metatype) || !impl_->is_metatype(metatype)) return nullptr;
  auto facts = std::make_unique<TypeFacts>();
  facts->address = address;
  facts->metatype = metatype;
  if (types_.size() >= kMaxTypes || !impl_->fill(*facts)) {
    if (impl_->rejected++ < kMaxRejected) {
      impl_->numbers.insert(address.value, AddressTable::kNone - 1);
    }
    return nullptr;
  }
  // Before its bases: a chain of bases that is a ring ends at this one.
  facts->index = {static_cast<std::uint32_t>(types_.size())};
  TypeFacts& added = *types_.emplace_back(std::move(facts));
  impl_->numbers.insert(address.value, added.index.value);
  added.name = impl_->full_name(added);
  ++impl_->nesting;
  const TypeFacts* base = added.base != address ? find(added.base) : nullptr;
  --impl_->nesting;
  impl_->inherit(added, base);
  impl_->read_slots(added, base, *this);
  return &added;
}

NameIndex TypeTable::intern(std::string_view name) {
  const auto [at, fresh] = impl_->interned.try_emplace(
      std::string(name), NameIndex{static_cast<std::uint32_t>(impl_->interned.size())});
  if (fresh && impl_->names != nullptr) impl_->names->on_name(at->second, name);
  return at->second;
}

void TypeTable::stop_telling() { impl_->names = nullptr; }
RemoteAddr TypeTable::type_type() const { return impl_->type_type; }
RemoteAddr TypeTable::subtype_traverse() const { return impl_->subtype_traverse; }

}  // namespace memspy::cpython

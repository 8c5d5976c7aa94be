// Types as the walk needs them: decided once per type, looked up by address for every object.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cpython/heap/heap_bytes.h"
#include "cpython/interpreter.h"
#include "cpython/strategies.h"
#include "memspy/object_visitor.h"
#include "memspy/symbol_source.h"

namespace memspy::cpython {

// The rule by which an object's size and edges are read: that of the nearest base class known to
// memspy. Instances of Python classes are kInstance plus the rule of their C base (`base_rule`).
enum class TypeRule : std::uint8_t {
  kPlain,   // no rule: tp_basicsize + items; edges by members, then by a scan of its words
  kObject,  // object itself: no edges but its type's
  kType,
  kDict,
  kList,
  kTuple,
  kSet,
  kUnicode,
  kBytes,
  kByteArray,
  kLong,
  kFloat,
  kComplex,
  kNone,
  kFunction,
  kCode,
  kCell,
  kMethod,
  kBuiltin,
  kModule,
  kFrame,
  kGenerator,
  kWeakref,
  kProperty,
  kStaticMethod,
  kClassMethod,
  kDescriptor,
  kSlice,
  kRange,
  kMemoryView,
  kManagedBuffer,
  kDeque,
  kDefaultDict,
  kOrderedDict,
  kPartial,
  kLruCache,
  kException,
  kTraceback,
  kNdarray,
  kTask,
  kFuture,
  kIterator,
  kMappingProxy,
  kSuper,
  kUnion,
  kCapsule,
};

// Memory that instances of C types own besides themselves, where no TypeRule says so.
enum class BufferRule : std::uint8_t {
  kNone,
  kArray,
  kBytesIo,
  kStringIo,
  kBuffered,
  kStruct,
  kDecimal,
  kCData,
  kRing,
};

struct TypeFacts {
  TypeIndex index;
  RemoteAddr address, base;
  RemoteAddr metatype;
  std::string name;         // module.QualName
  std::string c_name;       // tp_name: what object_members() is asked with
  std::uint64_t flags = 0;  // tp_flags
  std::int64_t basic_size = 0, item_size = 0, dict_offset = 0, weaklist_offset = 0;
  std::uint32_t head_bytes =
      0;  // before the object within its block: collector's head and pre-header
  TypeRule rule = TypeRule::kPlain;
  BufferRule buffers = BufferRule::kNone;
  bool python_class = false;  // made by a class statement: slots and dict are the collector's rule
  bool traverses = false;     // the collector is told of what its instances refer to
  RemoteAddr cached_keys;     // ht_cached_keys
  struct Slot {
    std::uint32_t offset;
    NameIndex name;
  };
  std::vector<Slot> slots;  // __slots__ of all bases; of types without a rule: tp_members as well

  bool heap_type() const { return (flags & kTypeHeapType) != 0; }
  bool has_gc() const { return (flags & kTypeHaveGc) != 0; }
};

class TypeTable {
 public:
  TypeTable(const Interpreter& interpreter, HeapBytes& bytes, const SymbolSource& symbols,
            ObjectVisitor* names);
  ~TypeTable();

  // The facts of the type at `address`, which stay where they are; nullptr: it is none (checked:
  // its own type descends from `type`, READY or static, name readable, sizes sane). Negative
  // answers are remembered too.
  const TypeFacts* find(RemoteAddr address);
  const std::vector<std::unique_ptr<TypeFacts>>& all() const { return types_; }
  // Names are told to `names` as they are met; 0 is the empty name.
  NameIndex intern(std::string_view name);
  // After the walk: the visitor may be gone.
  void stop_telling();
  // `type` itself, null when it was not found; and the tp_traverse of Python classes.
  RemoteAddr type_type() const;
  RemoteAddr subtype_traverse() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::vector<std::unique_ptr<TypeFacts>> types_;
};

}  // namespace memspy::cpython

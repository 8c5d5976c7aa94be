// How the edges of a type's instances are read, decided once per type: which fields hold references
// under which name, where attributes live, and what must be scanned because nothing is known of it.
// Shared by the readers of all threads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cpython/heap/heap_bytes.h"
#include "cpython/heap/type_table.h"
#include "cpython/interpreter.h"
#include "cpython/object_reader.h"
#include "memspy/object_visitor.h"

namespace memspy::cpython {

// What is read besides fields at fixed offsets.
enum class EdgeBody : std::uint8_t {
  kNone,
  kDict,
  kOrderedDict,
  kList,
  kTuple,
  kSet,
  kDeque,
  kFunction,
  kCode,
  kType,
  kFrame,
  kGenerator,
  kLruCache,
  kModule,
  kNdarray,
  kElement,
  kTeeData,
  kItems,
  kRing,
  kCapsule,
};

struct EdgePlan {
  struct Step {
    std::uint32_t offset = 0;
    std::uint32_t count = 1;  // pointers in a row
    NameIndex name;
    EdgeKind kind = EdgeKind::kInternal;
    bool weak = false;
  };
  enum class Attributes : std::uint8_t { kNone, kAtOffset, kFromEnd, kManaged };

  EdgeBody body = EdgeBody::kNone;
  Attributes attributes = Attributes::kNone;
  bool inline_values = false;    // 3.13+: values may lie behind the object's own fields
  bool owns_type = false;        // an instance of a heap type holds a reference to it
  std::uint32_t head_bytes = 0;  // of the object that the steps and the body look at
  std::vector<Step> steps;
  // Words that may be pointers, as [offset, end) from the object; behind `scan_items`, the items
  // too.
  struct Range {
    std::uint32_t begin = 0, end = 0;
  };
  std::vector<Range> scan;
  bool scan_items = false;
  std::int32_t dict_offset = 0;  // kAtOffset, kFromEnd
  std::uint32_t basic_size = 0, item_size = 0;
  std::uint32_t hidden_items = 0;  // of a struct sequence: items behind ob_size
  RemoteAddr cached_keys;
  std::vector<NameIndex> attribute_names;  // of the shared keys, in order
  std::string_view how = "nothing";        // for the coverage table: "dict rule", "members", "scan"

  bool empty() const {
    return body == EdgeBody::kNone && steps.empty() && scan.empty() && !scan_items && !owns_type &&
           attributes == Attributes::kNone;
  }
};

class EdgePlans {
 public:
  // `types` is used under this object's lock only while plans are made: find() of a type that was
  // not seen before must not run in another thread meanwhile.
  EdgePlans(const Interpreter& interpreter, const MemoryReader& memory, TypeTable& types);
  ~EdgePlans();

  // Lives as long as this. Thread-safe.
  const EdgePlan& plan_of(const TypeFacts& type);
  // Thread-safe.
  NameIndex intern(std::string_view name);
  // As long as it is kept no other thread makes plans or interns names.
  std::unique_lock<std::mutex> hold() { return std::unique_lock(mutex_); }
  // Of one that intern() gave; "" for others.
  std::string name_of(NameIndex index);

 private:
  struct Builder;
  // Of a shared key table; under the lock.
  std::vector<NameIndex> key_names(const ObjectReader& objects, RemoteAddr keys);

  const Interpreter& interpreter_;
  const MemoryReader& memory_;
  TypeTable& types_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<EdgePlan>> plans_;  // by TypeIndex
  std::unordered_map<std::uint32_t, std::string> names_;
};

}  // namespace memspy::cpython

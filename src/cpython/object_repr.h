// Short representations of objects in a target, for people: close to repr(), never longer than
// asked for, and never an error. What cannot be decoded is shown as `<type at 0x…>`.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "cpython/object_reader.h"

namespace memspy::cpython {

class ObjectRepr {
 public:
  // The layout and the memory must outlive it.
  ObjectRepr(const Layout& layout, const MemoryReader& memory);

  // At most about `cap` characters; "…" stands for what was left out.
  std::string repr(RemoteAddr object, std::size_t cap);
  // What a cell holds; null when it is empty. A null address too when `object` is no cell.
  bool is_cell(RemoteAddr object);
  // "pkg.Type", "int"; "?" when it cannot be read.
  std::string type_name(RemoteAddr type);

 private:
  // Which of the types that are decoded; subclasses of some are shown as `Type(value)`.
  enum class Kind : std::uint8_t {
    kOther,
    kNone,
    kBool,
    kInt,
    kFloat,
    kStr,
    kBytes,
    kTuple,
    kList,
    kDict,
    kSet,
    kFrozenSet,
    kFunction,
    kModule,
    kType,
    kCell
  };
  struct KnownType {
    std::string name;
    Kind kind = Kind::kOther;
    bool subclass = false;  // of what `kind` says
  };

  const KnownType& type_of(RemoteAddr object);
  KnownType read_type(RemoteAddr type);
  std::string full_name(const TypeInfo& type);
  Result<std::uint64_t> size_of(RemoteAddr object) const;

  void print(RemoteAddr object, int depth);
  Result<Unit> print_value(RemoteAddr object, Kind kind, int depth);
  Result<Unit> print_int(RemoteAddr object);
  Result<Unit> print_float(RemoteAddr object);
  Result<Unit> print_str(RemoteAddr object);
  Result<Unit> print_bytes(RemoteAddr object);
  Result<Unit> print_array(RemoteAddr first, std::uint64_t count, int depth);
  Result<Unit> print_tuple(RemoteAddr object, int depth);
  Result<Unit> print_list(RemoteAddr object, int depth);
  Result<Unit> print_dict(RemoteAddr object, int depth);
  Result<Unit> print_set(RemoteAddr object, int depth);
  Result<Unit> print_module(RemoteAddr object);
  Result<Unit> print_function(RemoteAddr object);
  void print_opaque(RemoteAddr object);
  bool full() const { return out_.size() >= cap_ || objects_left_ == 0; }
  std::size_t room() const { return out_.size() < cap_ ? cap_ - out_.size() : 0; }

  const Layout* layout_;
  const MemoryReader* memory_;
  ObjectReader objects_;
  std::unordered_map<RemoteAddr, KnownType> types_;
  std::string out_;
  std::size_t cap_ = 0;
  std::size_t objects_left_ = 0;
};

}  // namespace memspy::cpython

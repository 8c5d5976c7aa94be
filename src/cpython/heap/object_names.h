// Names that objects and their attributes have in source, as the heap's walk comes across them:
// "Worker.run" of a function, "queue" of a key in an instance's own dict.
//
// Used by one thread at a time. A name is read once for each address that it lies at.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "cpython/heap/edge_reader.h"
#include "cpython/heap/type_table.h"
#include "cpython/object_reader.h"
#include "memspy/object_visitor.h"

namespace memspy::cpython {

class ObjectNames {
 public:
  // New names are interned in `types`, which must outlive this.
  ObjectNames(const Layout& layout, const MemoryReader& memory, TypeTable& types);

  // The str at `address`; nullopt: it cannot be read, or there are too many names already (a dict
  // that was made an instance's own and holds a million keys is no namespace).
  std::optional<NameIndex> name_at(RemoteAddr address);

  // Functions, generators and code have a name of their own, to which one of `edges`, read from the
  // object, leads; null: this one has none. Thread-safe.
  RemoteAddr name_among(const TypeFacts& type, std::span<const RawEdge> edges) const;
  void label(NodeIndex node, RemoteAddr name);
  std::span<const HeapLabel> labels() const { return labels_; }

 private:
  ObjectReader reader_;
  TypeTable& types_;
  NameIndex qualname_, code_qualname_, code_name_;
  std::unordered_map<RemoteAddr, std::optional<NameIndex>> known_;
  std::vector<HeapLabel> labels_;
};

}  // namespace memspy::cpython

// Which types memspy has a rule for: by exported symbol, or by name where nothing is exported.
#pragma once

#include <span>
#include <string_view>

#include "cpython/heap/type_table.h"
#include "cpython/layout.h"

namespace memspy::cpython {

struct KnownType {
  std::string_view name;    // tp_name
  std::string_view symbol;  // "": of an extension module, which exports nothing
  TypeRule rule;
  Struct structure = Struct::kObject;  // not kObject: tp_basicsize must be its size
};

std::span<const KnownType> known_types();

BufferRule buffer_rule_of(std::string_view tp_name);

}  // namespace memspy::cpython

// Which fields of the interpreter's own types hold references, and what they are called: data.
#pragma once

#include <span>
#include <string_view>

#include "cpython/heap/edge_plans.h"
#include "cpython/heap/type_table.h"
#include "cpython/layout.h"
#include "memspy/object_visitor.h"

namespace memspy::cpython {

struct RuleField {
  TypeRule rule;
  Field field;  // left out where the version has no such field
  const char* name;
  EdgeKind kind = EdgeKind::kAttribute;
  bool weak = false;
};

std::span<const RuleField> rule_fields();
EdgeBody body_of(TypeRule rule);
// Types of extension modules that have more than fields, by their tp_name.
EdgeBody body_of_name(std::string_view c_name);
// "dict rule", …; nullptr: the rule tells nothing about references.
const char* rule_label(TypeRule rule);

}  // namespace memspy::cpython

// The text of simple objects, as Python prints them.
#pragma once

#include <cstddef>
#include <string>

#include "cpython/heap/type_table.h"
#include "cpython/object_repr.h"

namespace memspy::cpython {

// Of a str, bytes, int, float, bool or None, cut at about `cap` characters; "" for other objects.
std::string object_text(ObjectRepr& reprs, RemoteAddr object, const TypeFacts& type,
                        std::size_t cap);

}  // namespace memspy::cpython

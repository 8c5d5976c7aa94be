// The members of C structures that own references, for types without a rule of their own: a
// generated table of data per minor version (layouts/members_3_NN.inc).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace memspy::cpython {

struct ObjectMember {
  std::string_view owner;  // tp_name; or a structure of the interpreter: "PyInterpreterState"
  std::uint32_t offset = 0;
  std::uint32_t count = 1;  // pointers in a row
  std::string_view name;    // as in C: "source", "gc.callbacks"
};

// In the order of the structure; empty when nothing is known of `owner` in 3.`minor`.
std::span<const ObjectMember> object_members(int minor, std::string_view owner);

}  // namespace memspy::cpython

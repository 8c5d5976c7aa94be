#include "cpython/heap/object_members.h"

#include <algorithm>

namespace memspy::cpython {
namespace {

#include "cpython/layouts/members_3_06.inc"
#include "cpython/layouts/members_3_07.inc"
#include "cpython/layouts/members_3_08.inc"
#include "cpython/layouts/members_3_09.inc"
#include "cpython/layouts/members_3_10.inc"
#include "cpython/layouts/members_3_11.inc"
#include "cpython/layouts/members_3_12.inc"
#include "cpython/layouts/members_3_13.inc"
#include "cpython/layouts/members_3_14.inc"
#include "cpython/layouts/members_3_15.inc"

std::span<const ObjectMember> table_of(int minor) {
  switch (minor) {
    case 6:
      return kMembers3_06;
    case 7:
      return kMembers3_07;
    case 8:
      return kMembers3_08;
    case 9:
      return kMembers3_09;
    case 10:
      return kMembers3_10;
    case 11:
      return kMembers3_11;
    case 12:
      return kMembers3_12;
    case 13:
      return kMembers3_13;
    case 14:
      return kMembers3_14;
    case 15:
      return kMembers3_15;
    default:
      return {};
  }
}

struct ByOwner {
  bool operator()(const ObjectMember& member, std::string_view owner) const {
    return member.owner < owner;
  }
  bool operator()(std::string_view owner, const ObjectMember& member) const {
    return owner < member.owner;
  }
};

}  // namespace

std::span<const ObjectMember> object_members(int minor, std::string_view owner) {
  const std::span<const ObjectMember> table = table_of(minor);  // sorted by owner
  const auto [first, last] = std::equal_range(table.begin(), table.end(), owner, ByOwner{});
  return {first, last};
}

}  // namespace memspy::cpython

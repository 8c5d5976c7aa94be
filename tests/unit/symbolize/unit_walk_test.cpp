// The same entries as libdw tells of, one by one, in every form that the inputs have.
#include "symbolize/unit_walk.h"

#include <dwarf.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "symbolize/handles.h"

namespace memspy::symbolize {
namespace {

struct Seen {
  Dwarf_Off offset = 0;
  int tag = 0;
  std::size_t depth = 0;
  bool declaration = false;
  std::uint64_t begin = 0, end = 0;  // of its first range
  bool operator==(const Seen&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Seen& seen) {
  return out << std::hex << seen.offset << " tag " << seen.tag << " depth " << seen.depth
             << (seen.declaration ? " declared " : " ") << seen.begin << "-" << seen.end;
}

Seen look(Dwarf_Die* die, std::size_t depth) {
  Seen seen{::dwarf_dieoffset(die), ::dwarf_tag(die), depth,
            ::dwarf_hasattr(die, DW_AT_declaration) != 0};
  Dwarf_Addr base = 0, begin = 0, end = 0;
  if (::dwarf_ranges(die, 0, &base, &begin, &end) > 0) seen.begin = begin, seen.end = end;
  return seen;
}

bool is_wanted(int tag) {
  return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine ||
         tag == DW_TAG_lexical_block || tag == DW_TAG_namespace || tag == DW_TAG_structure_type ||
         tag == DW_TAG_class_type;
}

void look_inside(Dwarf_Die* parent, std::size_t depth, std::vector<Seen>& all) {
  Dwarf_Die child;
  if (::dwarf_child(parent, &child) != 0) return;
  do {
    if (!is_wanted(::dwarf_tag(&child))) continue;
    all.push_back(look(&child, depth));
    look_inside(&child, depth + 1, all);
  } while (::dwarf_siblingof(&child, &child) == 0);
}

class UnitWalkOf : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    fd_.reset(
        ::open((std::string(MEMSPY_ELF_INPUTS "/") + GetParam()).c_str(), O_RDONLY | O_CLOEXEC));
    dwarf_.reset(::dwarf_begin(fd_.get(), DWARF_C_READ));
    ASSERT_NE(dwarf_, nullptr);
    Dwarf_CU* next = nullptr;
    Dwarf_Die unit;
    while (::dwarf_get_units(dwarf_.get(), next, &next, nullptr, nullptr, &unit, nullptr) == 0)
      units_.push_back(unit);
    ASSERT_FALSE(units_.empty());
  }

  Seen as_seen(const UnitWalk::Entry& entry) {
    Dwarf_Die die;
    if (entry.elsewhere && ::dwarf_offdie(dwarf_.get(), entry.offset, &die) != nullptr)
      return look(&die, entry.depth);
    return {entry.offset, entry.tag, entry.depth, entry.declaration, entry.begin, entry.end};
  }

  UniqueFd fd_;
  DwarfHandle dwarf_;
  std::vector<Dwarf_Die> units_;
};

TEST_P(UnitWalkOf, SeesWhatLibdwSees) {
  std::size_t inlined = 0;
  for (Dwarf_Die& unit : units_) {
    std::vector<Seen> theirs, ours;
    look_inside(&unit, 0, theirs);
    UnitWalk walk(&unit);
    while (const auto entry = walk.next()) {
      ours.push_back(as_seen(*entry));
      inlined += entry->tag == DW_TAG_inlined_subroutine ? 1 : 0;
    }
    EXPECT_EQ(ours, theirs);
  }
  EXPECT_GT(inlined, 2U);
}

TEST_P(UnitWalkOf, LeavesOutWhatIsInside) {
  for (Dwarf_Die& unit : units_) {
    std::vector<Seen> theirs, ours;
    look_inside(&unit, 0, theirs);
    std::erase_if(theirs, [](const Seen& seen) { return seen.depth > 0; });
    UnitWalk walk(&unit);
    while (const auto entry = walk.next()) {
      ours.push_back(as_seen(*entry));
      walk.skip_inside();
    }
    EXPECT_EQ(ours, theirs);
  }
}

INSTANTIATE_TEST_SUITE_P(Inputs, UnitWalkOf,
                         ::testing::Values("libinlined5.so", "libinlined4.so", "libinlined3.so",
                                           "libinlinedz.so"),
                         [](const auto& input) {
                           const std::string name = input.param;
                           return name.substr(3, name.find('.') - 3);
                         });

}  // namespace
}  // namespace memspy::symbolize

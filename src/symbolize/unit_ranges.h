// Which compilation unit has an address, by the units' own ranges: clang writes no table of that
// (.debug_aranges), and libdw knows no other. Private to symbolize.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace memspy::symbolize {

class UnitRanges {
 public:
  // Reads the head of every unit. Hostile ones are bounded.
  explicit UnitRanges(Dwfl_Module* module);
  // nullptr: no unit has it. `address` is one of the debug information.
  Dwarf_Die* find(std::uint64_t address);

 private:
  struct Range {
    std::uint64_t begin = 0, end = 0;
    std::size_t unit = 0;
  };
  void add(std::size_t unit);
  std::vector<Dwarf_Die> units_;
  std::vector<Range> ranges_;  // ascending
};

}  // namespace memspy::symbolize

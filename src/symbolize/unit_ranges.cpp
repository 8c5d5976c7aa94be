#include "symbolize/unit_ranges.h"

#include <algorithm>

namespace memspy::symbolize {
namespace {

constexpr std::size_t kMaxUnits = 1U << 20;
constexpr std::size_t kMaxUnitRanges = 16U << 20;

}  // namespace

UnitRanges::UnitRanges(Dwfl_Module* module) {
  Dwarf_Addr bias = 0;
  for (Dwarf_Die* unit = nullptr; units_.size() < kMaxUnits;) {
    unit = ::dwfl_module_nextcu(module, unit, &bias);
    if (unit == nullptr) break;
    units_.push_back(*unit);
    add(units_.size() - 1);
  }
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
}

void UnitRanges::add(std::size_t unit) {
  Dwarf_Addr base = 0, begin = 0, end = 0;
  std::ptrdiff_t offset = 0;
  while (ranges_.size() < kMaxUnitRanges) {
    offset = ::dwarf_ranges(&units_[unit], offset, &base, &begin, &end);
    if (offset <= 0) return;
    // What a linker has thrown away begins at 0.
    if (begin < end && begin != 0) ranges_.push_back({begin, end, unit});
  }
}

Dwarf_Die* UnitRanges::find(std::uint64_t address) {
  auto above = std::upper_bound(
      ranges_.begin(), ranges_.end(), address,
      [](std::uint64_t wanted, const Range& range) { return wanted < range.begin; });
  if (above == ranges_.begin()) return nullptr;
  const Range& range = *--above;
  return address < range.end ? &units_[range.unit] : nullptr;
}

}  // namespace memspy::symbolize

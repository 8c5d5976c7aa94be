// Where the fields of CPython's structures are, in one version and build: a table of data. Filled
// by a generated static table (layouts/), by the target's own _Py_DebugOffsets (3.13+), or both.
// Where the *meaning* of a structure changed between versions, the layout names the strategy to
// use, so that no reader asks for a version number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cpython/layout_fields.h"
#include "cpython/strategies.h"

namespace memspy::cpython {

struct Slot {
  std::uint32_t offset = 0;  // bytes from the start of the structure
  std::uint16_t width = 0;   // bytes; 0: this version has no such field
  bool present() const { return width != 0; }
};

struct Layout {
  std::string source;  // "3.11 x86-64 (static table)", "3.13.0 debug offsets at 0x7f…"
  int minor = 0;
  Strategies strategies;
  std::array<Slot, kFieldCount> slots{};
  std::array<std::uint32_t, kStructCount> sizes{};  // sizeof; 0: this version has no such structure

  std::optional<Slot> find(Field field) const {
    const Slot slot = slots[static_cast<std::size_t>(field)];
    return slot.present() ? std::optional<Slot>(slot) : std::nullopt;
  }
  bool has(Field field) const { return slots[static_cast<std::size_t>(field)].present(); }
  // For fields that the layout's strategies promise; unchecked by design, validate() ran before.
  std::uint32_t offset(Field field) const { return slots[static_cast<std::size_t>(field)].offset; }
  std::uint32_t size(Struct of) const { return sizes[static_cast<std::size_t>(of)]; }
};

}  // namespace memspy::cpython

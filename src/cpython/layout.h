// Where the fields of CPython's structures are, in one version and build: a table of data. Filled by
// a generated static table (layouts/), by the target's own _Py_DebugOffsets (3.13+), or both.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memspy::cpython {

// To be completed: one enumerator per field read, named kStructField (kRuntimeInterpretersHead,
// kInterpreterNext, kThreadCurrentFrame, kFrameOwner, kCodeQualname, kUnicodeState…).
enum class Field : std::uint16_t { kCount };

struct Slot {
  std::uint32_t offset = 0;  // bytes from the start of the structure
  std::uint16_t width = 0;   // bytes; 0: this version has no such field
  bool present() const { return width != 0; }
};

struct Layout {
  std::string source;  // "3.11 x86-64 (static table)", "3.13.0 debug offsets at 0x7f…"
  int minor = 0;
  std::array<Slot, static_cast<std::size_t>(Field::kCount)> slots{};
  std::optional<Slot> find(Field field) const {
    const Slot slot = slots[static_cast<std::size_t>(field)];
    return slot.present() ? std::optional<Slot>(slot) : std::nullopt;
  }
};

}  // namespace memspy::cpython

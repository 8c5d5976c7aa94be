#include "cpython/line_table.h"

#include <limits>

namespace memspy::cpython {
namespace {

// Codes of an entry of the location table, from Objects/locations.md of CPython 3.11.
constexpr unsigned kCodeNone = 15, kCodeLong = 14, kCodeNoColumns = 13, kCodeOneLine0 = 10;

// Lines add up in 64 bits: a table is at most a few MiB of deltas, so no sum can overflow.
std::int32_t as_line(std::int64_t line) {
  const bool valid = line > 0 && line <= std::numeric_limits<std::int32_t>::max();
  return valid ? static_cast<std::int32_t>(line) : 0;
}

// co_lnotab, 3.6–3.9: pairs of (bytes, signed lines); a line holds until the next pair starts. The
// last line holds to the end of the code, which the table does not tell.
std::int32_t lnotab_line(std::span<const std::byte> table, std::int32_t first_line,
                         std::int32_t instruction) {
  std::int64_t line = first_line;
  std::int64_t address = 0;
  for (std::size_t i = 0; i + 1 < table.size(); i += 2) {
    address += std::to_integer<std::uint8_t>(table[i]);
    if (address > instruction) break;
    line += std::to_integer<std::int8_t>(table[i + 1]);
  }
  return as_line(line);
}

// co_linetable of 3.10 (PEP 626): pairs of (length in bytes, signed lines); -128: no line.
std::int32_t linetable_line(std::span<const std::byte> table, std::int32_t first_line,
                            std::int32_t instruction) {
  constexpr std::int8_t kNoLine = -128;
  std::int64_t line = first_line;
  std::int64_t end = 0;
  for (std::size_t i = 0; i + 1 < table.size(); i += 2) {
    const auto delta = std::to_integer<std::int8_t>(table[i + 1]);
    end += std::to_integer<std::uint8_t>(table[i]);
    if (delta != kNoLine) line += delta;
    if (instruction < end) return delta == kNoLine ? 0 : as_line(line);
  }
  return 0;
}

// Reads the location table of 3.11+; running out of bytes is remembered, not an error at each step.
class LocationCursor {
 public:
  explicit LocationCursor(std::span<const std::byte> table) : table_(table) {}

  bool at_end() const { return next_ >= table_.size(); }
  unsigned byte() { return at_end() ? 0 : std::to_integer<unsigned>(table_[next_++]); }

  // Six bits a byte, low ones first; bit 6 says that more follow.
  std::uint64_t varint() {
    std::uint64_t value = 0;
    unsigned shift = 0;
    unsigned piece = kMore;
    while ((piece & kMore) != 0 && !at_end()) {
      piece = byte();
      if (shift < kMaxShift) value |= static_cast<std::uint64_t>(piece & kPayload) << shift;
      shift += kPayloadBits;
    }
    return value;
  }

  std::int64_t signed_varint() {
    const std::uint64_t value = varint();
    const auto magnitude = static_cast<std::int64_t>(value >> 1);
    return (value & 1) != 0 ? -magnitude : magnitude;
  }

  void skip(unsigned bytes) { next_ += bytes; }

 private:
  static constexpr unsigned kMore = 0x40, kPayload = 0x3f, kPayloadBits = 6;
  static constexpr unsigned kMaxShift =
      32;  // line numbers are C ints; more digits are not followed

  std::span<const std::byte> table_;
  std::size_t next_ = 0;
};

std::int32_t location_line(std::span<const std::byte> table, std::int32_t first_line,
                           std::int32_t instruction) {
  LocationCursor cursor(table);
  std::int64_t line = first_line;
  std::int64_t end = 0;
  while (!cursor.at_end()) {
    const unsigned head = cursor.byte();
    const unsigned code = (head >> 3) & 15;
    if ((head & 0x80) == 0) return 0;  // not the start of an entry: the table is damaged
    end += 2 * ((head & 7) + 1);
    if (code == kCodeLong) {
      line += cursor.signed_varint();
      for (int i = 0; i < 3; ++i) cursor.varint();  // end line, column, end column
    } else if (code == kCodeNoColumns) {
      line += cursor.signed_varint();
    } else if (code >= kCodeOneLine0 && code < kCodeNoColumns) {
      line += code - kCodeOneLine0;
      cursor.skip(2);
    } else if (code < kCodeOneLine0) {
      cursor.skip(1);
    }
    if (instruction < end) return code == kCodeNone ? 0 : as_line(line);
  }
  return 0;
}

}  // namespace

std::int32_t line_of(LineTableKind kind, std::span<const std::byte> table, std::int32_t first_line,
                     std::int32_t instruction) {
  if (instruction < 0) return as_line(first_line);
  switch (kind) {
    case LineTableKind::kLnotab:
      return lnotab_line(table, first_line, instruction);
    case LineTableKind::kLineTable:
      return linetable_line(table, first_line, instruction);
    case LineTableKind::kLocationTable:
      return location_line(table, first_line, instruction);
  }
  return 0;
}

}  // namespace memspy::cpython

// The static layouts, one per minor version, and the check that every layout passes before use.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cpython/layout.h"
#include "memspy/result.h"

namespace memspy::cpython {

// The layout of 3.`minor`; kUnsupported names the versions that are known.
Result<Layout> layout_for(int minor);
// "3.6, 3.7, … 3.15"
std::string known_versions();
bool is_known_minor(int minor);

std::string_view field_name(Field field);
Struct field_owner(Field field);

// Every field lies within its structure and is aligned, every size is below a cap, and the fields
// that the strategies rely on are there. kCorrupt names the first that is not.
Result<Unit> validate(const Layout& layout);

// Builds of one minor that differ in a way their version does not tell; the first is the usual one.
// Which it is shows when the target's structures are walked.
Result<std::vector<Layout>> layout_variants(int minor);

// Where the _Py_DebugOffsets of a minor keeps the offset of a field or the size of a structure.
struct DebugFieldEntry {
  Field field;
  std::uint32_t at;
};
struct SizeEntry {
  Struct of;
  std::uint32_t size;
};
struct DebugOffsetsTable {
  std::uint32_t size = 0;  // of _Py_DebugOffsets itself
  std::span<const DebugFieldEntry> fields;
  std::span<const SizeEntry> sizes;
};
// Empty for a version without debug offsets.
DebugOffsetsTable debug_offsets_table(int minor);

}  // namespace memspy::cpython

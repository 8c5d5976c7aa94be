#include "cpython/layouts.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

namespace memspy::cpython {
namespace {

struct FieldEntry {
  Field field;
  Slot slot;
};
struct FieldInfo {
  Field field;
  Struct owner;
  std::string_view name;
};

constexpr FieldInfo kFieldInfo[] = {
#include "cpython/layouts/fields.inc"
};
constexpr bool field_info_is_complete() {
  if (std::size(kFieldInfo) != kFieldCount) return false;
  for (std::size_t i = 0; i < kFieldCount; ++i) {
    if (kFieldInfo[i].field != static_cast<Field>(i)) return false;
  }
  return true;
}
static_assert(field_info_is_complete(), "fields.inc does not follow enum Field");

#include "cpython/layouts/v3_06.inc"
#include "cpython/layouts/v3_07.inc"
#include "cpython/layouts/v3_08.inc"
#include "cpython/layouts/v3_09.inc"
#include "cpython/layouts/v3_10.inc"
#include "cpython/layouts/v3_11.inc"
#include "cpython/layouts/v3_12.inc"
#include "cpython/layouts/v3_13.inc"
#include "cpython/layouts/v3_14.inc"
#include "cpython/layouts/v3_15.inc"

constexpr std::uint32_t kKiB = 1024;

// Each version is the one before with what changed: a reader sees the history of the structures.
constexpr Strategies strategies_3_06() {
  Strategies s;
  s.pool_bytes = 4 * kKiB;
  s.arena_bytes = 256 * kKiB;
  return s;
}
constexpr Strategies strategies_3_07() {
  Strategies s = strategies_3_06();
  s.gil = GilKind::kRuntime;
  s.gc_place = GcPlace::kRuntime;
  return s;
}
constexpr Strategies strategies_3_08() {
  Strategies s = strategies_3_07();
  s.unlinked_heads_are_empty = true;
  s.caches_tell_of_results = true;
  return s;
}
constexpr Strategies strategies_3_09() {
  Strategies s = strategies_3_08();
  s.gc_place = GcPlace::kInterpreter;
  s.hashtable = HashtableKind::kPointerEntries;
  return s;
}
constexpr Strategies strategies_3_10() {
  Strategies s = strategies_3_09();
  s.instruction = InstructionKind::kUnitOffset;
  s.line_table = LineTableKind::kLineTable;
  s.pool_bytes = 16 * kKiB;
  s.arena_bytes = 1024 * kKiB;
  return s;
}
constexpr Strategies strategies_3_11() {
  Strategies s = strategies_3_10();
  s.frame_chain = FrameChain::kCFrame;
  s.instruction = InstructionKind::kPreviousPointer;
  s.line_table = LineTableKind::kLocationTable;
  s.bytecode = BytecodeKind::kEmbedded;
  s.dict_keys = DictKeysKind::kLog2Sizes;
  s.instance_dict = InstanceDictKind::kValuesAndDict;
  s.sizeof_heads_all_types = true;
  s.min_int_digits = 1;
  return s;
}
constexpr Strategies strategies_3_12() {
  Strategies s = strategies_3_11();
  s.unicode = UnicodeKind::kAlways;
  s.integers = LongKind::kTag;
  s.instance_dict = InstanceDictKind::kTaggedWord;
  s.gil = GilKind::kInterpreterPointer;
  s.obmalloc = ObmallocPlace::kEmbedded;
  s.traces_place = TracesPlace::kRuntime;
  s.immortal_objects = true;
  s.first_hidden_owner = 3;  // FRAME_OWNED_BY_CSTACK
  return s;
}
constexpr Strategies strategies_3_13() {
  Strategies s = strategies_3_12();
  s.frame_chain = FrameChain::kCurrentFrame;
  s.instruction = InstructionKind::kInstructionPointer;
  s.instance_dict = InstanceDictKind::kInlineValues;
  s.obmalloc = ObmallocPlace::kPointer;
  s.sizeof_heads_all_types = false;
  s.sizeof_counts_split_keys = false;
  return s;
}
constexpr Strategies strategies_3_14() {
  Strategies s = strategies_3_13();
  s.references = ReferenceKind::kStackRef;
  s.dicts_own_embedded_values = true;
  return s;
}
constexpr Strategies strategies_3_15() {
  Strategies s = strategies_3_14();
  s.gc_stats = GcStatsKind::kRingBuffers;
  s.trace_filenames = TraceFilenameKind::kCString;
  return s;
}

struct StaticTable {
  int minor;
  Strategies strategies;
  std::span<const FieldEntry> fields;
  std::span<const SizeEntry> sizes;
  DebugOffsetsTable debug_offsets;
};

const StaticTable kTables[] = {
    {6, strategies_3_06(), kFields3_06, kSizes3_06, {}},
    {7, strategies_3_07(), kFields3_07, kSizes3_07, {}},
    {8, strategies_3_08(), kFields3_08, kSizes3_08, {}},
    {9, strategies_3_09(), kFields3_09, kSizes3_09, {}},
    {10, strategies_3_10(), kFields3_10, kSizes3_10, {}},
    {11, strategies_3_11(), kFields3_11, kSizes3_11, {}},
    {12, strategies_3_12(), kFields3_12, kSizes3_12, {}},
    {13,
     strategies_3_13(),
     kFields3_13,
     kSizes3_13,
     {kDebugOffsetsSize3_13, kDebugFields3_13, kDebugSizes3_13}},
    {14,
     strategies_3_14(),
     kFields3_14,
     kSizes3_14,
     {kDebugOffsetsSize3_14, kDebugFields3_14, kDebugSizes3_14}},
    {15,
     strategies_3_15(),
     kFields3_15,
     kSizes3_15,
     {kDebugOffsetsSize3_15, kDebugFields3_15, kDebugSizes3_15}},
};

const StaticTable* find_table(int minor) {
  const auto* found = std::find_if(std::begin(kTables), std::end(kTables),
                                   [&](const StaticTable& table) { return table.minor == minor; });
  return found == std::end(kTables) ? nullptr : found;
}

}  // namespace

Result<Layout> layout_for(int minor) {
  const StaticTable* table = find_table(minor);
  if (table == nullptr) {
    Error error =
        make_error(Errc::kUnsupported, fmt::format("CPython 3.{} is not known to memspy", minor));
    error.why = "known versions: " + known_versions();
    error.hint = "--assume-layout 3.N reads it as version 3.N would be read";
    return error;
  }
  Layout layout;
  layout.source = fmt::format("3.{} x86-64 (static table)", minor);
  layout.minor = minor;
  layout.strategies = table->strategies;
  for (const FieldEntry& entry : table->fields) {
    layout.slots[static_cast<std::size_t>(entry.field)] = entry.slot;
  }
  for (const SizeEntry& entry : table->sizes) {
    layout.sizes[static_cast<std::size_t>(entry.of)] = entry.size;
  }
  return layout;
}

bool is_known_minor(int minor) { return find_table(minor) != nullptr; }

std::string known_versions() {
  std::string text;
  for (const StaticTable& table : kTables) {
    if (!text.empty()) text += ", ";
    text += fmt::format("3.{}", table.minor);
  }
  return text;
}

DebugOffsetsTable debug_offsets_table(int minor) {
  const StaticTable* table = find_table(minor);
  return table == nullptr ? DebugOffsetsTable{} : table->debug_offsets;
}

std::string_view field_name(Field field) {
  return kFieldInfo[static_cast<std::size_t>(field)].name;
}
Struct field_owner(Field field) { return kFieldInfo[static_cast<std::size_t>(field)].owner; }

}  // namespace memspy::cpython

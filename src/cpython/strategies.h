// Where CPython's structures changed their meaning, not only their offsets: one small choice for
// each change, made once per version in layouts/ and followed by the readers.
#pragma once

#include <cstdint>

namespace memspy::cpython {

enum class FrameChain : std::uint8_t {
  kFrameObjects,  // 3.6–3.10: tstate.frame, f_back
  kCFrame,        // 3.11–3.12: tstate.cframe, its current_frame, previous
  kCurrentFrame,  // 3.13+: tstate.current_frame, previous
};

// How a frame refers to objects (its code, its locals).
enum class ReferenceKind : std::uint8_t {
  kPointer,
  kStackRef,  // 3.14+: the two low bits are tags; both set: a tagged integer
};

enum class InstructionKind : std::uint8_t {
  kByteOffset,          // 3.6–3.9: f_lasti; -1: not started
  kUnitOffset,          // 3.10: f_lasti in units of two bytes; -1: not started
  kPreviousPointer,     // 3.11–3.12: prev_instr, a pointer into the code
  kInstructionPointer,  // 3.13+: instr_ptr
};

enum class LineTableKind : std::uint8_t {
  kLnotab,         // 3.6–3.9
  kLineTable,      // 3.10
  kLocationTable,  // 3.11+
};

enum class BytecodeKind : std::uint8_t {
  kBytesObject,  // 3.6–3.10: co_code points to a bytes object
  kEmbedded,     // 3.11+: behind the code object's fields
};

enum class UnicodeKind : std::uint8_t {
  kReadyBit,  // up to 3.11: bit 7 of the state; strings not ready have wstr only
  kAlways,    // 3.12+: every string is ready
};

enum class LongKind : std::uint8_t {
  kSignedSize,  // up to 3.11: ob_size, negative for negative numbers
  kTag,         // 3.12+: lv_tag: two bits of sign (0 +, 1 zero, 2 -), one flag, digits above
};

enum class DictKeysKind : std::uint8_t {
  kFullEntries,  // up to 3.10: dk_size, always entries of {hash, key, value}
  kLog2Sizes,    // 3.11+: dk_log2_size; dk_kind tells {key, value} from {hash, key, value}
};

// Where the attributes of an instance of a Python class are.
enum class InstanceDictKind : std::uint8_t {
  kDictOffset,     // up to 3.10: tp_dictoffset only
  kValuesAndDict,  // 3.11: managed: values at -32, dict at -24
  kTaggedWord,     // 3.12: managed: word at -24; bit 0 set: values at word + 1, else the dict
  kInlineValues,   // 3.13+: managed: dict at -24; values behind the object's own fields
};

enum class GilKind : std::uint8_t {
  kStatics,             // 3.6: static variables of the library
  kRuntime,             // 3.7–3.11: in _PyRuntime
  kInterpreterPointer,  // 3.12+: one per interpreter, or shared
};

enum class GcPlace : std::uint8_t {
  kStatics,      // 3.6
  kRuntime,      // 3.7–3.8
  kInterpreter,  // 3.9+
};

enum class GcStatsKind : std::uint8_t {
  kInline,       // three of {collections, collected, uncollectable}
  kRingBuffers,  // 3.15+: a pointer to ring buffers
};

enum class ObmallocPlace : std::uint8_t {
  kStatics,   // 3.6–3.11: static variables, known where .symtab is
  kEmbedded,  // 3.12: in the interpreter state
  kPointer,   // 3.13+: behind a pointer of the interpreter state
};

// Where the state of tracemalloc is.
enum class TracesPlace : std::uint8_t {
  kStatics,  // 3.6–3.11: static variables
  kRuntime,  // 3.12+: embedded in _PyRuntime
};

// _Py_hashtable_t: what an entry holds behind its hash, and how traces of other domains than that of
// Python's own allocators are kept.
enum class HashtableKind : std::uint8_t {
  kInlineEntries,   // up to 3.8: key and data themselves; the domain is part of a longer key
  kPointerEntries,  // 3.9+: two words, the second points to the data; a table for each domain
};

enum class TraceFilenameKind : std::uint8_t {
  kString,   // up to 3.14: a str
  kCString,  // 3.15+: characters that end in NUL
};

struct Strategies {
  FrameChain frame_chain = FrameChain::kFrameObjects;
  ReferenceKind references = ReferenceKind::kPointer;
  InstructionKind instruction = InstructionKind::kByteOffset;
  LineTableKind line_table = LineTableKind::kLnotab;
  BytecodeKind bytecode = BytecodeKind::kBytesObject;
  UnicodeKind unicode = UnicodeKind::kReadyBit;
  LongKind integers = LongKind::kSignedSize;
  DictKeysKind dict_keys = DictKeysKind::kFullEntries;
  InstanceDictKind instance_dict = InstanceDictKind::kDictOffset;
  GilKind gil = GilKind::kStatics;
  GcPlace gc_place = GcPlace::kStatics;
  GcStatsKind gc_stats = GcStatsKind::kInline;
  ObmallocPlace obmalloc = ObmallocPlace::kStatics;
  TracesPlace traces_place = TracesPlace::kStatics;
  HashtableKind hashtable = HashtableKind::kInlineEntries;
  TraceFilenameKind trace_filenames = TraceFilenameKind::kString;
  // Frames with an owner from here on are the interpreter's or C's, and not shown; 0xff: none.
  std::uint8_t first_hidden_owner = 0xff;
  bool immortal_objects = false;      // 3.12+: a count with bit 31 set never changes
  bool sizeof_heads_all_types = false;  // 3.11–3.12: getsizeof() adds a collector's head to static types
  bool sizeof_counts_split_keys = true;  // up to 3.12: of a split dict whose keys nobody shares yet
  std::uint8_t min_int_digits = 0;    // that getsizeof() counts; 1 from 3.11: 0 has a digit as well
  bool unlinked_heads_are_empty = false;  // 3.8+: the collector's head of an object that is in no list
  bool caches_tell_of_results = false;  // 3.8+: lru_cache's tp_traverse, of what its entries hold
  // 3.14+: of values that an instance and its dict share, the dict tells the collector; before, the
  // instance.
  bool dicts_own_embedded_values = false;
  std::uint32_t pool_bytes = 0;
  std::uint32_t arena_bytes = 0;  // the usual one; a build option doubles it in 3.15
};

// Bits of tp_flags that keep their place in all versions, and those of managed instances (3.11+).
inline constexpr std::uint64_t kTypeInlineValues = 1U << 2;  // 3.13+
inline constexpr std::uint64_t kTypeManagedWeakref = 1U << 3;  // 3.12+
inline constexpr std::uint64_t kTypeManagedDict = 1U << 4;   // 3.11+
inline constexpr std::uint64_t kTypeHeapType = 1U << 9;
inline constexpr std::uint64_t kTypeReady = 1U << 12;
inline constexpr std::uint64_t kTypeHaveGc = 1U << 14;
inline constexpr std::uint64_t kTypeLongSubclass = 1U << 24;
inline constexpr std::uint64_t kTypeListSubclass = 1U << 25;
inline constexpr std::uint64_t kTypeTupleSubclass = 1U << 26;
inline constexpr std::uint64_t kTypeBytesSubclass = 1U << 27;
inline constexpr std::uint64_t kTypeUnicodeSubclass = 1U << 28;
inline constexpr std::uint64_t kTypeDictSubclass = 1U << 29;
inline constexpr std::uint64_t kTypeTypeSubclass = 1UL << 31;

// Bits of the state word of a string, the same in all versions.
inline constexpr std::uint32_t kUnicodeStateKindShift = 2;
inline constexpr std::uint32_t kUnicodeStateKindMask = 7;  // 1, 2 or 4 bytes per character
inline constexpr std::uint32_t kUnicodeStateCompact = 1U << 5;
inline constexpr std::uint32_t kUnicodeStateAscii = 1U << 6;
inline constexpr std::uint32_t kUnicodeStateReady = 1U << 7;  // up to 3.11

}  // namespace memspy::cpython

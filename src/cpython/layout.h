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

#include "cpython/strategies.h"

namespace memspy::cpython {

// The structures fields belong to; the name table in layout.cpp gives each field its structure.
// clang-format off
enum class Struct : std::uint8_t {
  kRuntime, kInterpreter, kThread, kCFrame, kGil,
  kFrame,        // PyFrameObject up to 3.10, _PyInterpreterFrame from 3.11
  kFrameObject,  // PyFrameObject from 3.11
  kCode, kObject, kVarObject, kType, kHeapType, kUnicode, kBytes, kLong, kFloat, kTuple, kList,
  kDict, kDictKeys, kDictValues, kSet, kModule, kCell, kFunction,
  kGc, kGcHead, kGcGeneration, kGcStats, kGcStatsBuffers, kGcOldBuffer,
  kObmalloc, kArena, kPool,
  kCount
};

// One enumerator per field read. An embedded structure or an array is named by its first byte.
// The order is that of the structures; scripts/gen_layouts.py knows the same names.
enum class Field : std::uint16_t {
  // _PyRuntimeState (3.7+)
  kRuntimeInterpretersHead, kRuntimeInterpretersMain,
  kRuntimeTstateCurrent,               // 3.7–3.11: the thread state that holds the GIL, or 0
  kRuntimeGilLastHolder, kRuntimeGilLocked,  // 3.7–3.11
  kRuntimeGc,                          // 3.7–3.8, embedded
  kRuntimeAutoInterpreterState, kRuntimeInitialized,
  // PyInterpreterState
  kInterpreterNext, kInterpreterId, kInterpreterThreadsHead,
  kInterpreterGc,                      // 3.9+, embedded
  kInterpreterModules, kInterpreterSysdict, kInterpreterBuiltins,
  kInterpreterGil,                     // 3.12+: pointer to the GIL's state
  kInterpreterObmalloc,                // 3.12 embedded, 3.13+ pointer
  // PyThreadState
  kThreadPrev, kThreadNext, kThreadInterpreter,
  kThreadFrame, kThreadCFrame, kThreadCurrentFrame,  // which one: FrameChain
  kThreadThreadId, kThreadNativeThreadId, kThreadId, kThreadStatus, kThreadHoldsGil, kThreadState,
  kThreadDatastackChunk,
  // _PyCFrame (3.11, 3.12)
  kCFrameCurrentFrame,
  // struct _gil_runtime_state (3.12+, behind kInterpreterGil)
  kGilLastHolder, kGilLocked,
  // PyFrameObject (3.6–3.10) or _PyInterpreterFrame (3.11+)
  kFramePrevious, kFrameCode,
  kFrameInstruction,                   // f_lasti, prev_instr or instr_ptr: InstructionKind
  kFrameGlobals, kFrameBuiltins, kFrameLocals, kFrameFunction, kFrameFrameObject, kFrameOwner,
  kFrameStackTop,                      // f_stacktop, stacktop or stackpointer
  kFrameValueStack,                    // 3.6–3.10
  kFrameLocalsPlus,                    // array of PyObject*, or of tagged words (ReferenceKind)
  // PyFrameObject (3.11+)
  kFrameObjectFrame,
  // PyCodeObject
  kCodeArgCount, kCodePosOnlyArgCount, kCodeKwOnlyArgCount, kCodeNLocals, kCodeStackSize,
  kCodeFlags,
  kCodeFirstLine, kCodeConsts, kCodeFilename, kCodeName, kCodeQualname,
  kCodeLineTable,                      // co_lnotab or co_linetable: LineTableKind
  kCodeVarNames, kCodeCellVars, kCodeFreeVars,                  // 3.6–3.10
  kCodeNLocalsPlus, kCodeLocalsPlusNames, kCodeLocalsPlusKinds,  // 3.11+
  kCodeBytecode,                       // 3.6–3.10: pointer to a bytes object
  kCodeAdaptive,                       // 3.11+: the embedded bytecode
  kCodeFirstTraceable,                 // 3.11+: in units of two bytes
  // Objects
  kObjectRefcount, kObjectType, kVarObjectSize,
  kTypeName, kTypeBasicSize, kTypeItemSize, kTypeFlags, kTypeBase, kTypeDict, kTypeDictOffset,
  kTypeMro,
  kHeapTypeName, kHeapTypeQualname, kHeapTypeCachedKeys,
  kUnicodeLength, kUnicodeState,
  kUnicodeAsciiData, kUnicodeCompactData,                  // embedded characters
  kUnicodeDataPointer,                                     // not compact: pointer to the characters
  kUnicodeUtf8Length, kUnicodeUtf8,
  kUnicodeWstr, kUnicodeWstrLength,                        // up to 3.11
  kBytesData,
  kLongTag,                                                // 3.12+; before, see kVarObjectSize
  kLongDigits,                                             // u32 digits of 30 bits
  kFloatValue, kTupleItems,
  kListItems, kListAllocated,                              // kListItems: pointer
  kDictUsed, kDictKeys, kDictValues,
  kDictKeysRefcount,
  kDictKeysSize, kDictKeysLookup,                          // up to 3.10
  kDictKeysLog2Size, kDictKeysLog2IndexBytes, kDictKeysKind,  // 3.11+
  kDictKeysUsable, kDictKeysEntryCount, kDictKeysIndices,
  kDictValuesCapacity, kDictValuesSize, kDictValuesEmbedded, kDictValuesValid,  // 3.13+
  kDictValuesItems,                                        // 3.11+; before, an array of PyObject*
  kSetFill, kSetUsed, kSetMask, kSetTable,
  kModuleDict, kModuleName, kCellContents, kFunctionQualname,
  // struct _gc_runtime_state (3.7+)
  kGcEnabled, kGcCollecting, kGcGenerations, kGcGeneration0, kGcPermanentGeneration,
  kGcStatistics,                       // GcStatsKind
  kGcHeadNext, kGcHeadPrev,
  kGcGenerationThreshold, kGcGenerationCount,
  kGcStatsCollections, kGcStatsCollected, kGcStatsUncollectable,
  kGcStatsBuffersYoung, kGcStatsBuffersYoungIndex, kGcStatsBuffersOld,  // 3.15+
  kGcOldBufferItems, kGcOldBufferIndex,                                 // 3.15+
  // pymalloc
  kObmallocArenas, kObmallocMaxArenas,  // 3.12+; before: static variables
  kArenaAddress, kArenaPoolAddress, kArenaFreePools, kArenaTotalPools,
  kPoolRefCount, kPoolFreeBlock, kPoolArenaIndex, kPoolSizeIndex, kPoolNextOffset,
  kPoolMaxNextOffset,
  kCount
};
// clang-format on
inline constexpr std::size_t kFieldCount = static_cast<std::size_t>(Field::kCount);
inline constexpr std::size_t kStructCount = static_cast<std::size_t>(Struct::kCount);

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

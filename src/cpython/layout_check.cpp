#include <spdlog/fmt/fmt.h>

#include "cpython/layouts.h"

namespace memspy::cpython {
namespace {

// The largest structure read is the interpreter state of 3.12 (0x5da40, mostly pymalloc's tables);
// eight times that leaves room for growth and none for garbage.
constexpr std::uint32_t kMaxStructSize = 0x400000;

// What every reader takes for granted.
constexpr Field kAlwaysNeeded[] = {
    Field::kInterpreterNext,
    Field::kInterpreterThreadsHead,
    Field::kInterpreterModules,
    Field::kThreadNext,
    Field::kThreadInterpreter,
    Field::kThreadThreadId,
    Field::kFramePrevious,
    Field::kFrameCode,
    Field::kFrameInstruction,
    Field::kFrameLocalsPlus,
    Field::kCodeFirstLine,
    Field::kCodeFilename,
    Field::kCodeName,
    Field::kCodeLineTable,
    Field::kObjectType,
    Field::kVarObjectSize,
    Field::kTypeName,
    Field::kTypeFlags,
    Field::kTypeBasicSize,
    Field::kTypeDictOffset,
    Field::kHeapTypeCachedKeys,
    Field::kUnicodeLength,
    Field::kUnicodeState,
    Field::kUnicodeAsciiData,
    Field::kUnicodeCompactData,
    Field::kUnicodeDataPointer,
    Field::kBytesData,
    Field::kLongDigits,
    Field::kFloatValue,
    Field::kTupleItems,
    Field::kListItems,
    Field::kDictUsed,
    Field::kDictKeys,
    Field::kDictValues,
    Field::kDictKeysEntryCount,
    Field::kDictKeysIndices,
    Field::kSetUsed,
    Field::kSetMask,
    Field::kSetTable,
    Field::kModuleDict,
    Field::kGcHeadNext,
    Field::kGcHeadPrev,
    Field::kGcGenerationCount,
    Field::kGcGenerationThreshold,
    Field::kGcStatsCollections,
    Field::kArenaAddress,
    Field::kPoolRefCount,
    Field::kPoolMaxNextOffset,
    Field::kTraceConfigTracing,
    Field::kTraceConfigFrameLimit,
    Field::kHashtableCount,
    Field::kHashtableBucketCount,
    Field::kHashtableBuckets,
    Field::kHashtableHash,
    Field::kHashtableCompare,
    Field::kHashtableEntryNext,
    Field::kHashtableEntryHash,
    Field::kTraceBytes,
    Field::kTraceStack,
    Field::kTraceStackFrameCount,
    Field::kTraceStackFrames,
    Field::kTraceFrameFilename,
    Field::kTraceFrameLine,
};

void add(std::vector<Field>& needed, std::initializer_list<Field> fields) {
  needed.insert(needed.end(), fields);
}

// What the chosen strategies rely on.
std::vector<Field> fields_of(const Strategies& s) {
  std::vector<Field> needed;
  if (s.frame_chain == FrameChain::kFrameObjects) add(needed, {Field::kThreadFrame});
  if (s.frame_chain == FrameChain::kCFrame) {
    add(needed, {Field::kThreadCFrame, Field::kCFrameCurrentFrame, Field::kFrameOwner});
  }
  if (s.frame_chain == FrameChain::kCurrentFrame) {
    add(needed, {Field::kThreadCurrentFrame, Field::kFrameOwner});
  }
  if (s.bytecode == BytecodeKind::kBytesObject)
    add(needed, {Field::kCodeBytecode, Field::kCodeVarNames});
  if (s.bytecode == BytecodeKind::kEmbedded) {
    add(needed, {Field::kCodeAdaptive, Field::kCodeFirstTraceable, Field::kCodeLocalsPlusNames});
  }
  if (s.integers == LongKind::kTag) add(needed, {Field::kLongTag});
  if (s.dict_keys == DictKeysKind::kFullEntries) add(needed, {Field::kDictKeysSize});
  if (s.dict_keys == DictKeysKind::kLog2Sizes) {
    add(needed, {Field::kDictKeysLog2Size, Field::kDictKeysLog2IndexBytes, Field::kDictKeysKind});
  }
  if (s.instance_dict == InstanceDictKind::kInlineValues) {
    add(needed, {Field::kDictValuesCapacity, Field::kDictValuesValid, Field::kDictValuesItems});
  }
  if (s.gil == GilKind::kRuntime) {
    add(needed,
        {Field::kRuntimeTstateCurrent, Field::kRuntimeGilLastHolder, Field::kRuntimeGilLocked});
  }
  if (s.gil != GilKind::kStatics)
    add(needed, {Field::kRuntimeInterpretersHead, Field::kInterpreterId});
  if (s.gil == GilKind::kInterpreterPointer) {
    add(needed, {Field::kInterpreterGil, Field::kGilLastHolder, Field::kGilLocked});
  }
  if (s.gc_place == GcPlace::kRuntime) add(needed, {Field::kRuntimeGc});
  if (s.gc_place == GcPlace::kInterpreter) add(needed, {Field::kInterpreterGc});
  if (s.gc_place != GcPlace::kStatics) {
    add(needed,
        {Field::kGcEnabled, Field::kGcCollecting, Field::kGcGenerations, Field::kGcStatistics});
  }
  if (s.gc_stats == GcStatsKind::kRingBuffers) {
    add(needed, {Field::kGcStatsBuffersYoung, Field::kGcStatsBuffersYoungIndex,
                 Field::kGcStatsBuffersOld, Field::kGcOldBufferItems, Field::kGcOldBufferIndex});
  }
  if (s.obmalloc != ObmallocPlace::kStatics) {
    add(needed, {Field::kInterpreterObmalloc, Field::kObmallocArenas, Field::kObmallocMaxArenas});
  }
  if (s.traces_place == TracesPlace::kRuntime) {
    add(needed, {Field::kRuntimeTracemalloc, Field::kTracemallocConfig, Field::kTracemallocBytes,
                 Field::kTracemallocPeak, Field::kTracemallocTraces, Field::kTracemallocDomains});
  }
  if (s.hashtable == HashtableKind::kInlineEntries) {
    add(needed, {Field::kHashtableKeySize, Field::kHashtableDataSize});
  } else {
    add(needed, {Field::kHashtableEntryKey, Field::kHashtableEntryValue});
  }
  return needed;
}

Error misplaced(const Layout& layout, Field field, std::string_view what) {
  const Slot slot = layout.slots[static_cast<std::size_t>(field)];
  return make_error(Errc::kCorrupt,
                    fmt::format("layout \"{}\": {} at {:#x} ({} bytes) {}", layout.source,
                                field_name(field), slot.offset, slot.width, what));
}

Result<Unit> validate_field(const Layout& layout, Field field) {
  const auto slot = layout.find(field);
  if (!slot) return Unit{};
  if (slot->width > 8) return misplaced(layout, field, "is too wide");
  const std::uint32_t size = layout.size(field_owner(field));
  // An array of packed frames of 12 bytes, flexible from 3.15 on.
  const bool packed = field == Field::kTraceStackFrames;
  // A flexible array may begin where its structure ends.
  const bool flexible = (slot->width == 1 || packed) && slot->offset == size;
  if (!flexible && (slot->offset > size || slot->width > size - slot->offset)) {
    return misplaced(layout, field, fmt::format("is outside its structure of {:#x} bytes", size));
  }
  // 3.13.18 as Debian builds it has its generations on a 4-byte boundary.
  const std::uint32_t alignment = packed || field == Field::kGcGenerations ? 4 : slot->width;
  if (slot->offset % alignment != 0) return misplaced(layout, field, "is not aligned");
  return Unit{};
}

}  // namespace

Result<Unit> validate(const Layout& layout) {
  for (const std::uint32_t size : layout.sizes) {
    if (size > kMaxStructSize) {
      return make_error(Errc::kCorrupt, fmt::format("layout \"{}\": a structure of {:#x} bytes",
                                                    layout.source, size));
    }
  }
  for (std::size_t i = 0; i < kFieldCount; ++i) {
    MEMSPY_CHECK(validate_field(layout, static_cast<Field>(i)));
  }
  std::vector<Field> needed = fields_of(layout.strategies);
  needed.insert(needed.end(), std::begin(kAlwaysNeeded), std::end(kAlwaysNeeded));
  for (const Field field : needed) {
    if (!layout.has(field)) return misplaced(layout, field, "is missing");
  }
  return Unit{};
}

}  // namespace memspy::cpython

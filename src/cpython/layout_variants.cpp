#include "cpython/layouts.h"

namespace memspy::cpython {
namespace {

// Every structure but these starts with an object's head.
bool is_object(Struct of) {
  switch (of) {
    case Struct::kRuntime:
    case Struct::kInterpreter:
    case Struct::kThread:
    case Struct::kCFrame:
    case Struct::kGil:
    case Struct::kFrame:
    case Struct::kDictKeys:
    case Struct::kDictValues:
    case Struct::kGc:
    case Struct::kGcHead:
    case Struct::kGcGeneration:
    case Struct::kGcStats:
    case Struct::kGcStatsBuffers:
    case Struct::kGcOldBuffer:
    case Struct::kObmalloc:
    case Struct::kArena:
    case Struct::kPool:
    case Struct::kStackChunk:
    case Struct::kExceptionInfo:
    case Struct::kFreeLists:
    case Struct::kFreeList:
    case Struct::kStaticTypeState:
    case Struct::kCodeExtraArray:
    case Struct::kCoCached:
    case Struct::kCodeOpcacheEntry:
    case Struct::kMember:
    case Struct::kSetEntry:
    case Struct::kDequeBlock:
    case Struct::kOrderedNode:
    case Struct::kArrayDescriptor:
    case Struct::kTracemalloc:
    case Struct::kTraceConfig:
    case Struct::kHashtable:
    case Struct::kHashtableEntry:
    case Struct::kTrace:
    case Struct::kTraceStack:
    case Struct::kTraceFrame:
      return false;
    default:
      return true;
  }
}

// A build with Py_TRACE_REFS, where every object starts with two more pointers. Py_DEBUG implied it
// up to 3.7; since then it is a choice of its own.
Layout with_trace_refs(Layout layout) {
  constexpr std::uint32_t kHeadExtra = 16;  // _ob_next, _ob_prev
  const auto shifts = [&](Struct of) {
    // Up to 3.10 frames are objects as well.
    return is_object(of) ||
           (of == Struct::kFrame && layout.strategies.frame_chain == FrameChain::kFrameObjects);
  };
  for (std::size_t i = 0; i < kFieldCount; ++i) {
    if (layout.slots[i].present() && shifts(field_owner(static_cast<Field>(i)))) {
      layout.slots[i].offset += kHeadExtra;
    }
  }
  for (std::size_t i = 0; i < kStructCount; ++i) {
    if (layout.sizes[i] != 0 && shifts(static_cast<Struct>(i))) layout.sizes[i] += kHeadExtra;
  }
  layout.source += " with Py_TRACE_REFS";
  return layout;
}

void place(Layout& layout, Field field, std::uint32_t offset) {
  Slot& slot = layout.slots[static_cast<std::size_t>(field)];
  if (slot.present()) slot.offset = offset;
}

// Patch releases before the alignment of objects went from 8 to 16 bytes (bpo-27987: 3.6.9, 3.7.4)
// have a PyGC_Head of 24 bytes, and with it smaller generations; in 3.7 what follows the collector
// in _PyRuntime moves up by 0x58.
Layout with_small_gc_head(Layout layout) {
  layout.sizes[static_cast<std::size_t>(Struct::kGcHead)] = 0x18;
  layout.sizes[static_cast<std::size_t>(Struct::kGcGeneration)] = 0x20;
  place(layout, Field::kGcGenerationThreshold, 0x18);
  place(layout, Field::kGcGenerationCount, 0x1c);
  place(layout, Field::kRuntimeGc, 0x138);
  place(layout, Field::kGcGenerations, 0x18);
  place(layout, Field::kGcGeneration0, 0x78);
  place(layout, Field::kGcPermanentGeneration, 0x80);
  place(layout, Field::kGcStatistics, 0xa0);
  place(layout, Field::kGcCollecting, 0xe8);
  constexpr std::uint32_t kMovedUp = 0x58;
  for (const Field field : {Field::kRuntimeTstateCurrent, Field::kRuntimeGilLastHolder,
                            Field::kRuntimeGilLocked, Field::kRuntimeAutoInterpreterState}) {
    if (layout.has(field)) place(layout, field, layout.offset(field) - kMovedUp);
  }
  layout.source += " with 24-byte GC heads";
  return layout;
}

}  // namespace

Result<std::vector<Layout>> layout_variants(int minor) {
  MEMSPY_TRY(usual, layout_for(minor));
  std::vector<Layout> variants = {usual};
  if (usual.size(Struct::kGcHead) == 0x20) variants.push_back(with_small_gc_head(usual));
  if (debug_offsets_table(minor).size == 0) {
    for (std::size_t i = 0, usual_ones = variants.size(); i < usual_ones; ++i) {
      variants.push_back(with_trace_refs(variants[i]));
    }
  }
  return variants;
}

}  // namespace memspy::cpython

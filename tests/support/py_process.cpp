#include "support/py_process.h"

#include "cpython/heap/type_rules.h"
#include "cpython/layouts.h"

namespace memspy::testing {
namespace {

using cpython::Field;
using cpython::GcPlace;
using cpython::GcStatsKind;
using cpython::GilKind;
using cpython::ObmallocPlace;
using cpython::Struct;

constexpr RemoteAddr kArena{0x7f2000000000};
// tp_basicsize of types whose size is not what they are known by: without it nothing of them is
// read.
constexpr std::pair<std::string_view, Struct> kSizes[] = {
    {"dict", Struct::kDict},         {"list", Struct::kList},   {"tuple", Struct::kTuple},
    {"set", Struct::kSet},           {"float", Struct::kFloat}, {"cell", Struct::kCell},
    {"function", Struct::kFunction}, {"code", Struct::kCode}};
constexpr std::uint64_t kPoolsInUse = 3, kBlocksInUse = 5, kPoolHeader = 0x30;

}  // namespace

std::optional<RemoteAddr> FakeModule::find_symbol(std::string_view name) const {
  const auto found = symbols.find(name);
  return found == symbols.end() ? std::nullopt : std::optional(found->second);
}

std::optional<AddressRange> FakeModule::find_section(std::string_view name) const {
  const auto found = sections.find(name);
  return found == sections.end() ? std::nullopt : std::optional(found->second);
}

PyProcess::PyProcess(cpython::Layout layout, std::uint32_t hex, std::string file)
    : image_(std::move(layout)), module_(std::move(file)) {
  const int minor = image_.layout().minor;
  if (hex == 0) hex = 0x030001f0U | static_cast<std::uint32_t>(minor) << 16;
  interpreter_ = image_.add_interpreter(0);
  main_thread_ = image_.add_thread(interpreter_, kMainIdent);
  worker_ = image_.add_thread(interpreter_, kWorkerIdent);
  const RemoteAddr outer = image_.add_code({}), inner = image_.add_code({});
  push_frame(main_thread_, outer);
  push_frame(main_thread_, inner);
  push_frame(worker_, outer);
  add_modules(hex);
  add_gil();
  add_gc();
  add_symbols();
  if (cpython::debug_offsets_table(minor).size != 0) write_debug_offsets(hex);
  symbols_.list = {&module_};
}

void PyProcess::push_frame(RemoteAddr thread, RemoteAddr code) {
  FrameSpec frame;
  frame.code = code;
  frame.instruction = 1;
  image_.push_frame(thread, frame);
}

// An instance with an ordinary dict at tp_dictoffset.
RemoteAddr PyProcess::add_thread_object(std::string_view name) {
  constexpr std::uint64_t kDictOffset = 32;  // behind the head, also with Py_TRACE_REFS
  RemoteAddr type = image_.type("Thread");
  if (!type) {
    type = image_.add_type("Thread");
    image_.put(type, Field::kTypeDictOffset, kDictOffset);
  }
  const RemoteAddr thread = image_.add_object(type, kDictOffset + 8);
  const auto key = [&](std::string_view text) { return image_.add_str(text); };
  const RemoteAddr dict =
      image_.add_dict({{key("_target"), image_.none()}, {key("_name"), key(name)}});
  memory().write(thread + kDictOffset, dict.value);
  return thread;
}

void PyProcess::add_modules(std::uint32_t hex) {
  const auto key = [&](std::string_view text) { return image_.add_str(text); };
  const RemoteAddr active = image_.add_dict(
      {{image_.add_int(static_cast<std::int64_t>(kMainIdent)), add_thread_object("MainThread")},
       {image_.add_int(static_cast<std::int64_t>(kWorkerIdent)), add_thread_object("wörker")}});
  const RemoteAddr globals =
      image_.add_dict({{key("_limbo"), image_.none()}, {key("_active"), active}});
  const RemoteAddr threading =
      image_.add_object(image_.add_type("module"), image_.layout().size(Struct::kModule));
  image_.put(threading, Field::kModuleDict, globals.value);
  const RemoteAddr sysdict = image_.add_dict({{key("hexversion"), image_.add_int(hex)}});
  const RemoteAddr modules = image_.add_dict({{key("threading"), threading}});
  image_.put(interpreter_, Field::kInterpreterModules, modules.value);
  image_.put(interpreter_, Field::kInterpreterSysdict, sysdict.value);
}

void PyProcess::add_gil() {
  switch (image_.layout().strategies.gil) {
    case GilKind::kStatics:
      tstate_current_ = image_.allocate(8);
      memory().write(tstate_current_, worker_.value);
      break;
    case GilKind::kRuntime:
      image_.put(image_.runtime(), Field::kRuntimeTstateCurrent, worker_.value);
      break;
    case GilKind::kInterpreterPointer: {
      const RemoteAddr gil = image_.allocate(image_.layout().size(Struct::kGil));
      image_.put(gil, Field::kGilLastHolder, worker_.value);
      image_.put(gil, Field::kGilLocked, 1);
      image_.put(interpreter_, Field::kInterpreterGil, gil.value);
      break;
    }
  }
}

void PyProcess::add_gc() {
  const cpython::Layout& layout = image_.layout();
  RemoteAddr first, statistics;
  if (layout.strategies.gc_place == GcPlace::kStatics) {
    first = gc_ = image_.allocate(3 * layout.size(Struct::kGcGeneration));
    statistics = gc_statistics_ = image_.allocate(3 * layout.size(Struct::kGcStats));
    gc_enabled_ = image_.allocate(8);
    memory().write(gc_enabled_, std::int32_t{1});
  } else {
    gc_ = layout.strategies.gc_place == GcPlace::kRuntime
              ? image_.runtime() + layout.offset(Field::kRuntimeGc)
              : interpreter_ + layout.offset(Field::kInterpreterGc);
    first = gc_ + layout.offset(Field::kGcGenerations);
    statistics = gc_ + layout.offset(Field::kGcStatistics);
    image_.put(gc_, Field::kGcEnabled, 1);
    image_.put(gc_, Field::kGcGeneration0, first.value);
  }
  const bool rings = layout.strategies.gc_stats == GcStatsKind::kRingBuffers;
  const RemoteAddr buffers =
      rings ? image_.allocate(layout.size(Struct::kGcStatsBuffers)) : RemoteAddr{};
  if (rings) memory().write(statistics, buffers.value);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const RemoteAddr head = first + i * layout.size(Struct::kGcGeneration);
    memory().write(head + layout.offset(Field::kGcHeadNext), head.value);
    memory().write(head + layout.offset(Field::kGcHeadPrev), head.value);
    image_.put(head, Field::kGcGenerationThreshold, i == 0 ? 700 : 10);
    image_.put(head, Field::kGcGenerationCount, 40 + i);
    RemoteAddr item = statistics + i * layout.size(Struct::kGcStats);
    if (rings) {  // the newest item is the second of each ring
      RemoteAddr ring = buffers + layout.offset(Field::kGcStatsBuffersYoung);
      RemoteAddr index = buffers + layout.offset(Field::kGcStatsBuffersYoungIndex);
      if (i > 0) {
        ring = buffers + layout.offset(Field::kGcStatsBuffersOld) +
               (i - 1) * layout.size(Struct::kGcOldBuffer);
        index = ring + layout.offset(Field::kGcOldBufferIndex);
      }
      memory().write(index, std::uint8_t{1});
      item = ring + layout.size(Struct::kGcStats);
    }
    image_.put(item, Field::kGcStatsCollections, 100 + i);
    image_.put(item, Field::kGcStatsCollected, 200 + i);
    image_.put(item, Field::kGcStatsUncollectable, 300 + i);
  }
}

void PyProcess::add_symbols() {
  if (image_.runtime()) {
    module_.symbols["_PyRuntime"] = image_.runtime();
    module_.writable = {{image_.runtime(), image_.layout().size(Struct::kRuntime)}};
  } else {
    module_.symbols["interp_head"] = image_.interpreters_head();
    module_.symbols["_PyThreadState_Current"] = tstate_current_;
    module_.symbols["generations"] = gc_;
    module_.symbols["generation_stats"] = gc_statistics_;
    module_.symbols["enabled"] = gc_enabled_;
    module_.writable = {{image_.interpreters_head(), 16}};
  }
  module_.symbols["PyCode_Type"] = image_.type("code");
}

void PyProcess::hide_symbols() {
  module_.symbols.clear();
  module_.sections.clear();
}

void PyProcess::write_debug_offsets(std::uint32_t hex, bool free_threaded) {
  const cpython::Layout& layout = image_.layout();
  const cpython::DebugOffsetsTable table = cpython::debug_offsets_table(layout.minor);
  const RemoteAddr at = image_.runtime();
  memory().write_bytes(at, std::as_bytes(std::span("xdebugpy", 8)));
  memory().write(at + 8, std::uint64_t{hex});
  memory().write(at + 16, std::uint64_t{free_threaded});
  for (const auto& entry : table.fields)
    memory().write(at + entry.at, std::uint64_t{layout.offset(entry.field)});
  for (const auto& entry : table.sizes)
    memory().write(at + entry.size, std::uint64_t{layout.size(entry.of)});
}

void PyProcess::complete_types() {
  for (const cpython::KnownType& known : cpython::known_types()) {
    const RemoteAddr type = image_.type(known.name);
    if (!type) continue;
    image_.put(type, Field::kTypeMro, image_.add_tuple({}).value);
    if (known.structure != Struct::kObject)
      image_.put(type, Field::kTypeBasicSize, image_.layout().size(known.structure));
    if (!known.symbol.empty()) module_.symbols[std::string(known.symbol)] = type;
  }
  for (const auto& [name, structure] : kSizes) {
    if (const RemoteAddr type = image_.type(name))
      image_.put(type, Field::kTypeBasicSize, image_.layout().size(structure));
  }
}

MemoryMap PyProcess::map_of_everything() {
  MemoryMap map;
  for (const auto& [start, bytes] : memory().segments()) {
    Mapping mapping;
    mapping.start = start, mapping.end = start + bytes.size();
    mapping.readable = mapping.writable = true;
    map.push_back(mapping);
  }
  return map;
}

void PyProcess::add_pymalloc() {
  const cpython::Layout& layout = image_.layout();
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes,
                      arena_bytes = layout.strategies.arena_bytes;
  arena_ = kArena;
  memory().add_segment(arena_, arena_bytes);
  Mapping mapping;
  mapping.start = arena_, mapping.end = arena_ + arena_bytes;
  mapping.readable = mapping.writable = true;
  map_ = {mapping};
  for (std::uint64_t i = 0; i < kPoolsInUse; ++i) {
    const RemoteAddr pool = arena_ + (2 * i) * pool_bytes;  // free pools in between
    image_.put(pool, Field::kPoolRefCount, kBlocksInUse);
    image_.put(pool, Field::kPoolSizeIndex, kPoolBlockSize / 16 - 1);
    image_.put(pool, Field::kPoolFreeBlock, (pool + kPoolHeader).value);
    image_.put(pool, Field::kPoolNextOffset, kPoolHeader + (kBlocksInUse + 1) * kPoolBlockSize);
    image_.put(pool, Field::kPoolMaxNextOffset, pool_bytes - kPoolBlockSize);
    used_bytes_ += kBlocksInUse * kPoolBlockSize;
    used_blocks_ += kBlocksInUse;
  }
  arena_table_ = image_.allocate(16 * layout.size(Struct::kArena));
  const RemoteAddr second = arena_table_ + layout.size(Struct::kArena);  // the first slot is unused
  image_.put(second, Field::kArenaAddress, arena_.value);
  image_.put(second, Field::kArenaTotalPools, arena_bytes / pool_bytes);
  // Of pools behind this one nothing has been cut yet; what lies there is not pymalloc's word.
  const RemoteAddr uncut = arena_ + 2 * kPoolsInUse * pool_bytes;
  image_.put(second, Field::kArenaPoolAddress, uncut.value);
  if (layout.strategies.obmalloc == ObmallocPlace::kStatics) {
    arenas_variable_ = image_.allocate(8), max_arenas_variable_ = image_.allocate(8);
    memory().write(arenas_variable_, arena_table_.value);
    memory().write(max_arenas_variable_, std::uint32_t{16});
    module_.symbols["arenas"] = arenas_variable_;
    module_.symbols["maxarenas"] = max_arenas_variable_;
    return;
  }
  RemoteAddr state = interpreter_ + layout.offset(Field::kInterpreterObmalloc);
  if (layout.strategies.obmalloc == ObmallocPlace::kPointer) {
    state = image_.allocate(layout.size(Struct::kObmalloc));
    image_.put(interpreter_, Field::kInterpreterObmalloc, state.value);
  }
  arenas_variable_ = state + layout.offset(Field::kObmallocArenas);
  memory().write(arenas_variable_, arena_table_.value);
  image_.put(state, Field::kObmallocMaxArenas, 16);
}

void PyProcess::drop_arena_table() { memory().write(arenas_variable_, std::uint64_t{0}); }

}  // namespace memspy::testing

#include "cpython/traces/trace_place.h"

#include <algorithm>
#include <array>

#include <spdlog/fmt/fmt.h>

#include "cpython/remote_fields.h"
#include "cpython/traces/trace_stacks.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kWord = 8;
// Data segments of the largest embedding programs have some tens of MiB.
constexpr std::uint64_t kMaxScannedBytes = 64ULL << 20;
constexpr std::size_t kScanPiece = 1U << 20;
// Of a candidate: every one of these has to be a trace.
constexpr std::uint64_t kLookedAt = 256;
constexpr std::uint64_t kMaxBlock = 1ULL << 47;
constexpr std::uint64_t kMaxFrameLimit = 1ULL << 31;
constexpr std::uint64_t kLastState = 2;  // TRACEMALLOC_FINALIZED
constexpr std::array kConfigNames{"_Py_tracemalloc_config", "tracemalloc_config"};

bool is_code(const MemoryMap& map, RemoteAddr address) {
  const Mapping* mapping = find_mapping(map, address);
  return mapping != nullptr && mapping->executable;
}

// The file that the interpreter's own variables are in.
const ModuleImage* own_module(const TraceInput& input) {
  const RemoteAddr variable = input.interpreter.anchors().interpreters_head;
  for (const ModuleImage* module : input.symbols.modules())
    for (const AddressRange& segment : module->writable_segments())
      if (variable >= segment.start && variable.value - segment.start.value < segment.size)
        return module;
  return nullptr;
}

struct Config {
  bool plausible = false, tracing = false;
};

// {state of the module, tracing, frames kept}, each an int.
Config config_at(const Layout& layout, HeapBytes& bytes, RemoteAddr config) {
  const std::uint64_t state = bytes.load(config, 4);
  const std::uint64_t tracing = bytes.load(config + layout.offset(Field::kTraceConfigTracing), 4);
  const std::uint64_t limit = bytes.load(config + layout.offset(Field::kTraceConfigFrameLimit), 4);
  return {state <= kLastState && tracing <= 1 && limit >= 1 && limit < kMaxFrameLimit,
          tracing == 1};
}

class Finder {
 public:
  Finder(const TraceInput& input, HeapBytes& bytes, std::uint64_t memory_bytes)
      : input_(input),
        layout_(input.interpreter.layout()),
        bytes_(bytes),
        memory_bytes_(memory_bytes) {}

  Result<TracePlace> in_runtime();
  Result<TracePlace> in_statics();

 private:
  bool holds(RemoteAddr variable, Trust trust) {
    return holds_traces(input_, bytes_, bytes_.pointer(variable), memory_bytes_, trust);
  }
  TracePlace state_at(RemoteAddr state, std::string found_by) const;
  bool state_holds(RemoteAddr state, Trust trust);
  void by_names(const ModuleImage& module, TracePlace& place) const;
  RemoteAddr scan(const ModuleImage& module);
  void scan_piece(RemoteAddr start, std::span<const std::byte> piece, std::uint64_t& most,
                  RemoteAddr& best);

  const TraceInput& input_;
  const Layout& layout_;
  HeapBytes& bytes_;
  std::uint64_t memory_bytes_;
};

TracePlace Finder::state_at(RemoteAddr state, std::string found_by) const {
  TracePlace place;
  place.traces = state + layout_.offset(Field::kTracemallocTraces);
  place.domains = state + layout_.offset(Field::kTracemallocDomains);
  place.current = state + layout_.offset(Field::kTracemallocBytes);
  place.peak = state + layout_.offset(Field::kTracemallocPeak);
  place.config = state + layout_.offset(Field::kTracemallocConfig);
  place.found_by = std::move(found_by);
  return place;
}

// On, and with the table that it then has.
bool Finder::state_holds(RemoteAddr state, Trust trust) {
  const Config config =
      config_at(layout_, bytes_, state + layout_.offset(Field::kTracemallocConfig));
  return config.plausible && config.tracing &&
         holds(state + layout_.offset(Field::kTracemallocTraces), trust);
}

Result<TracePlace> Finder::in_runtime() {
  const RemoteAddr runtime = input_.interpreter.runtime();
  const RemoteAddr usual = runtime + layout_.offset(Field::kRuntimeTracemalloc);
  const auto found = [&](RemoteAddr state, std::string_view how) {
    TracePlace place =
        state_at(state, fmt::format("_PyRuntime+{:#x}{}", state.value - runtime.value, how));
    place.tracing = true;
    return place;
  };
  if (state_holds(usual, Trust::kNamed)) return found(usual, "");
  const std::uint64_t size = layout_.size(Struct::kRuntime),
                      state_bytes = layout_.size(Struct::kTracemalloc);
  for (std::uint64_t at = 0; at + state_bytes <= size; at += kWord)
    if (state_holds(runtime + at, Trust::kFound)) return found(runtime + at, ", by a search");
  // Nowhere on.
  const Config config =
      config_at(layout_, bytes_, usual + layout_.offset(Field::kTracemallocConfig));
  TracePlace place =
      state_at(usual, config.plausible && !config.tracing ? "its own setting says so"
                                                          : "no table of traces in _PyRuntime");
  place.torn = config.plausible && config.tracing;
  return place;
}

void Finder::by_names(const ModuleImage& module, TracePlace& place) const {
  const auto named = [&](std::string_view name) {
    return module.find_symbol(name).value_or(RemoteAddr{});
  };
  place.traces = named("tracemalloc_traces");
  place.domains = named("tracemalloc_domains");
  place.current = named("tracemalloc_traced_memory");
  place.peak = named("tracemalloc_peak_traced_memory");
  for (const char* name : kConfigNames)
    if (!place.config) place.config = named(name);
}

Result<TracePlace> Finder::in_statics() {
  const ModuleImage* module = own_module(input_);
  if (module == nullptr)
    return make_error(Errc::kUnsupported, "the interpreter's own variables are in no known file");
  TracePlace place;
  by_names(*module, place);
  Config config;
  if (place.config) config = config_at(layout_, bytes_, place.config);
  if (config.plausible && !config.tracing) {
    place.found_by = "its own setting says so";
    return place;
  }
  if (place.traces) {
    place.found_by = "symbol tracemalloc_traces";
    place.tracing = holds(place.traces, Trust::kNamed);
    place.torn = config.plausible && !place.tracing;
    return place;
  }
  place.traces = scan(*module);
  place.tracing = static_cast<bool>(place.traces);
  place.torn = config.plausible && !place.tracing;
  place.nameless = true;
  place.found_by = place.tracing
                       ? fmt::format("scan of .data and .bss, at {:#x}", place.traces.value)
                       : "no table of traces in .data and .bss";
  return place;
}

// Several words may point to the table; what counts is that it is one.
void Finder::scan_piece(RemoteAddr start, std::span<const std::byte> piece, std::uint64_t& most,
                        RemoteAddr& best) {
  for (std::size_t i = 0; i + kWord <= piece.size(); i += kWord) {
    const RemoteAddr table{load(piece, i, kWord).value_or(0)};
    if (!is_plausible(table)) continue;
    const auto head = read_hash_table(bytes_, layout_, table, memory_bytes_);
    if (!head || head->count <= most) continue;
    if (!holds_traces(input_, bytes_, table, memory_bytes_, Trust::kFound)) continue;
    most = head->count;
    best = start + i;
  }
}

RemoteAddr Finder::scan(const ModuleImage& module) {
  std::uint64_t budget = kMaxScannedBytes, most = 0;
  RemoteAddr best;
  std::vector<std::byte> piece(kScanPiece);
  for (const AddressRange& segment : module.writable_segments()) {
    const RemoteAddr start{(segment.start.value + kWord - 1) & ~(kWord - 1)};
    const std::uint64_t skipped = start.value - segment.start.value;
    const std::uint64_t size = segment.size > skipped ? segment.size - skipped : 0;
    for (std::uint64_t at = 0; at < size && budget > 0; at += kScanPiece) {
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(kScanPiece, size - at));
      const std::size_t got = input_.memory.read_some(start + at, std::span(piece).first(want));
      budget -= std::min<std::uint64_t>(budget, got);
      scan_piece(start + at, std::span<const std::byte>(piece).first(got), most, best);
      if (got < want) break;
    }
  }
  return best;
}

}  // namespace

std::uint64_t writable_bytes_of(const MemoryMap& map) {
  std::uint64_t bytes = 0;
  for (const Mapping& mapping : map) bytes += mapping.writable ? mapping.size() : 0;
  return bytes;
}

std::optional<RawTrace> read_trace(HeapBytes& bytes, const Layout& layout, RemoteAddr data) {
  // Inline data stands behind a key of any length: no alignment is asked for.
  const auto found = bytes.bytes(data, layout.size(Struct::kTrace));
  if (!data || found.empty()) return std::nullopt;
  const std::uint64_t size = load(found, layout.offset(Field::kTraceBytes), kWord).value_or(0);
  const RemoteAddr stack{load(found, layout.offset(Field::kTraceStack), kWord).value_or(0)};
  if (size >= kMaxBlock) return std::nullopt;
  return RawTrace{size, stack};
}

bool holds_traces(const TraceInput& input, HeapBytes& bytes, RemoteAddr table,
                  std::uint64_t memory_bytes, Trust trust) {
  const Layout& layout = input.interpreter.layout();
  const auto head = read_hash_table(bytes, layout, table, memory_bytes);
  if (!head || !is_code(input.map, head->hash) || !is_code(input.map, head->compare)) return false;
  if (layout.strategies.hashtable == HashtableKind::kInlineEntries &&
      head->data_bytes != layout.size(Struct::kTrace))
    return false;
  if (head->count == 0) return trust == Trust::kNamed;
  TraceTable nothing;
  TraceStacks stacks(layout, bytes, memory_bytes, nothing);
  std::uint64_t seen = 0, sound = 0;
  const HashWalk walk = walk_hash_table(bytes, layout, *head, [&](const HashEntry& entry) {
    const auto trace = read_trace(bytes, layout, entry.data);
    if (entry.key != 0 && trace && stacks.looks_right(trace->stack)) ++sound;
    ++seen;
    return seen < kLookedAt && (trust == Trust::kNamed || sound == seen);
  });
  if (trust == Trust::kNamed) return 2 * sound >= seen && seen > 0;
  return sound == seen && seen > 0 && walk.broken_chains == 0;
}

Result<TracePlace> find_traces(const TraceInput& input, HeapBytes& bytes,
                               std::uint64_t memory_bytes) {
  Finder finder(input, bytes, memory_bytes);
  return input.interpreter.layout().strategies.traces_place == TracesPlace::kRuntime
             ? finder.in_runtime()
             : finder.in_statics();
}

}  // namespace memspy::cpython

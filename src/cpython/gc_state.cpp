#include "cpython/gc_state.h"

#include <spdlog/fmt/fmt.h>

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kGenerations = 3;
// _gc_next and _gc_prev carry two flag bits from 3.8 on; before, these bits are zero.
constexpr std::uint64_t kLinkFlags = 3;
// The generations stand within the first bytes of the collector's state.
constexpr std::uint32_t kSearchedBytes = 0x100;
constexpr int kAttempts = 20;  // lists of a running target may be torn

// List heads may be 4-byte aligned (3.13.18 of Debian), so is_plausible() does not fit.
bool may_be_link(std::uint64_t value) {
  return value >= kUserAddressBegin && value < kUserAddressEnd && value % 4 == 0;
}

bool is_list_head(const MemoryReader& memory, const Layout& layout, RemoteAddr head) {
  const auto block = read<std::array<std::uint64_t, 2>>(memory, head);
  if (!block) return false;
  const std::uint64_t next = (*block)[0] & ~kLinkFlags, previous = (*block)[1] & ~kLinkFlags;
  if (!may_be_link(next) || !may_be_link(previous)) return false;
  // The tail is not followed: a running target appends to the youngest generation all the time.
  const auto back =
      read<std::uint64_t>(memory, RemoteAddr{next} + layout.offset(Field::kGcHeadPrev));
  return back && (*back & ~kLinkFlags) == head.value;
}

bool are_generations(const MemoryReader& memory, const Layout& layout, RemoteAddr first) {
  const std::uint64_t stride = layout.size(Struct::kGcGeneration);
  for (std::uint64_t i = 0; i < kGenerations; ++i) {
    const RemoteAddr head = first + i * stride;
    if (!is_list_head(memory, layout, head)) return false;
    const auto threshold =
        read<std::int32_t>(memory, head + layout.offset(Field::kGcGenerationThreshold));
    if (!threshold || *threshold < 0) return false;
  }
  return true;
}

// The collector's own pointer to its youngest generation, which no collection
// changes. 3.14.0–3.14.4 had none, and something else in its place.
std::optional<std::uint32_t> published_generations(const MemoryReader& memory, const Layout& layout,
                                                   RemoteAddr base) {
  if (!layout.has(Field::kGcGeneration0)) return std::nullopt;
  const auto first = read_field(memory, layout, base, Field::kGcGeneration0);
  if (!first || *first < base.value || *first - base.value >= kSearchedBytes || *first % 4 != 0) {
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(*first - base.value);
}

// The offset within the collector's state: as published, as the layout has it, the lowest that
// fits.
std::optional<std::uint32_t> find_generations(const MemoryReader& memory, const Layout& layout,
                                              RemoteAddr base) {
  if (const auto published = published_generations(memory, layout, base)) return published;
  const std::uint32_t expected = layout.offset(Field::kGcGenerations);
  if (are_generations(memory, layout, base + expected)) return expected;
  for (std::uint32_t offset = 0; offset < kSearchedBytes; offset += 4) {
    if (are_generations(memory, layout, base + offset)) return offset;
  }
  return std::nullopt;
}

struct Addresses {
  RemoteAddr generations, statistics, enabled, collecting;  // null: not known
};

Addresses addresses_of(const Layout& layout, const Anchors& anchors, RemoteAddr interpreter) {
  if (layout.strategies.gc_place == GcPlace::kStatics) {
    return {anchors.gc_generations, anchors.gc_statistics, anchors.gc_enabled,
            anchors.gc_collecting};
  }
  const RemoteAddr base = gc_base(layout, anchors, interpreter);
  const auto at = [&](Field field) {
    return layout.has(field) ? base + layout.offset(field) : RemoteAddr{};
  };
  return {at(Field::kGcGenerations), at(Field::kGcStatistics), at(Field::kGcEnabled),
          at(Field::kGcCollecting)};
}

bool read_flag(const MemoryReader& memory, RemoteAddr address) {
  if (!address) return false;
  const auto value = read<std::int32_t>(memory, address);
  return value && *value != 0;
}

void set_statistics(const Layout& layout, const Block& block, std::uint64_t at,
                    GcState::Generation& generation) {
  const auto get = [&](Field field) {
    const Slot slot = layout.slots[static_cast<std::size_t>(field)];
    return load(block.bytes(), static_cast<std::size_t>(at + slot.offset), slot.width).value_or(0);
  };
  generation.collections = get(Field::kGcStatsCollections);
  generation.collected = get(Field::kGcStatsCollected);
  generation.uncollectable = get(Field::kGcStatsUncollectable);
}

Result<Unit> read_inline_statistics(const MemoryReader& memory, const Layout& layout,
                                    RemoteAddr address, GcState& state) {
  const std::uint64_t stride = layout.size(Struct::kGcStats);
  MEMSPY_TRY(block, Block::read(memory, address, static_cast<std::size_t>(stride * kGenerations)));
  for (std::uint64_t i = 0; i < kGenerations; ++i) {
    set_statistics(layout, block, i * stride, state.generations[i]);
  }
  return Unit{};
}

// 3.15: a pointer to rings of the last collections, each item with the totals so far; `index` is
// the newest item of a ring. The young ring is followed by its index, then come the two old ones.
Result<Unit> read_ring_statistics(const MemoryReader& memory, const Layout& layout,
                                  RemoteAddr address, GcState& state) {
  MEMSPY_TRY(buffers, read<std::uint64_t>(memory, address));
  MEMSPY_TRY(block, Block::read(memory, RemoteAddr{buffers}, layout.size(Struct::kGcStatsBuffers)));
  const std::uint64_t item = layout.size(Struct::kGcStats);
  for (std::uint64_t i = 0; i < kGenerations; ++i) {
    std::uint64_t items = layout.offset(Field::kGcStatsBuffersYoung);
    std::uint64_t index_at = layout.offset(Field::kGcStatsBuffersYoungIndex);
    if (i > 0) {
      const std::uint64_t ring =
          layout.offset(Field::kGcStatsBuffersOld) + (i - 1) * layout.size(Struct::kGcOldBuffer);
      items = ring + layout.offset(Field::kGcOldBufferItems);
      index_at = ring + layout.offset(Field::kGcOldBufferIndex);
    }
    const std::uint64_t index =
        load(block.bytes(), static_cast<std::size_t>(index_at), 1).value_or(0);
    if (items + (index + 1) * item > index_at) {
      return make_error(Errc::kCorrupt, fmt::format("ring of statistics with index {}", index));
    }
    set_statistics(layout, block, items + index * item, state.generations[i]);
  }
  return Unit{};
}

Result<GcState> read_gc_state(const MemoryReader& memory, const Layout& layout,
                              const Anchors& anchors, const InterpreterRef& interpreter) {
  const Addresses at = addresses_of(layout, anchors, interpreter.address);
  if (!at.generations) {
    return make_error(Errc::kUnsupported,
                      "the collector's generations were not found in this build");
  }
  GcState state;
  state.interpreter_id = interpreter.id;
  state.enabled =
      !at.enabled || read_flag(memory, at.enabled);  // 3.6 without symbols: on, as a rule
  state.collecting = read_flag(memory, at.collecting);
  const std::uint64_t stride = layout.size(Struct::kGcGeneration);
  for (std::uint64_t i = 0; i < kGenerations; ++i) {
    const RemoteAddr generation = at.generations + i * stride;
    MEMSPY_TRY(threshold, read<std::int32_t>(
                              memory, generation + layout.offset(Field::kGcGenerationThreshold)));
    MEMSPY_TRY(count,
               read<std::int32_t>(memory, generation + layout.offset(Field::kGcGenerationCount)));
    state.generations[i].threshold = threshold;
    state.generations[i].count = count;
  }
  if (!at.statistics) return state;
  if (layout.strategies.gc_stats == GcStatsKind::kInline) {
    MEMSPY_CHECK(read_inline_statistics(memory, layout, at.statistics, state));
  } else {
    MEMSPY_CHECK(read_ring_statistics(memory, layout, at.statistics, state));
  }
  return state;
}

}  // namespace

RemoteAddr gc_base(const Layout& layout, const Anchors& anchors, RemoteAddr interpreter) {
  switch (layout.strategies.gc_place) {
    case GcPlace::kStatics:
      return {};
    case GcPlace::kRuntime:
      return anchors.runtime + layout.offset(Field::kRuntimeGc);
    case GcPlace::kInterpreter:
      return interpreter + layout.offset(Field::kInterpreterGc);
  }
  return {};
}

bool read_collecting(const MemoryReader& memory, const Layout& layout, const Anchors& anchors,
                     RemoteAddr interpreter) {
  return read_flag(memory, addresses_of(layout, anchors, interpreter).collecting);
}

GcCheck confirm_generations(const MemoryReader& memory, const Anchors& anchors,
                            RemoteAddr interpreter, Layout& layout) {
  const bool statics = layout.strategies.gc_place == GcPlace::kStatics;
  const RemoteAddr base = gc_base(layout, anchors, interpreter);
  bool saw_collecting = false;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    saw_collecting = saw_collecting || read_collecting(memory, layout, anchors, interpreter);
    if (statics) {
      if (are_generations(memory, layout, anchors.gc_generations)) return GcCheck::kConfirmed;
    } else if (const auto offset = find_generations(memory, layout, base)) {
      layout.slots[static_cast<std::size_t>(Field::kGcGenerations)].offset = *offset;
      return GcCheck::kConfirmed;
    }
  }
  return saw_collecting ? GcCheck::kUnknown : GcCheck::kRefuted;
}

Result<std::vector<GcState>> read_gc_states(const MemoryReader& memory, const Layout& layout,
                                            const Anchors& anchors) {
  MEMSPY_TRY(interpreters, list_interpreters(memory, layout, anchors));
  std::vector<GcState> states;
  for (const InterpreterRef& interpreter : interpreters) {
    const bool own = layout.strategies.gc_place == GcPlace::kInterpreter;
    if (!own && interpreter.id != 0) continue;  // one collector for the process
    MEMSPY_TRY(state, read_gc_state(memory, layout, anchors, interpreter));
    states.push_back(state);
  }
  return states;
}

}  // namespace memspy::cpython

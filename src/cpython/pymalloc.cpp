#include "cpython/pymalloc.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include <spdlog/fmt/fmt.h>

#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxArenas = 1U << 18;  // 256 GiB of 1 MiB arenas
constexpr std::uint64_t kMaxArenaBytes = 64ULL << 20;
constexpr std::uint64_t kMaxBlockSize = 512;  // larger requests go to malloc
constexpr std::uint64_t kMaxSizeClasses = 64;
// A sweep without symbols looks at one header in this many pools at most: 16 GiB of 16 KiB pools.
constexpr std::uint64_t kMaxScannedPools = 1U << 20;
constexpr std::size_t kHeadersPerBatch = 1024;  // IOV_MAX: one system call

struct ArenaTable {
  RemoteAddr first;
  std::uint64_t count = 0;
};

// Sums pools up as their headers are read, a batch in one call.
class PoolSweep {
 public:
  PoolSweep(const MemoryReader& memory, const Layout& layout)
      : memory_(memory),
        layout_(layout),
        header_bytes_(layout.size(Struct::kPool)),
        headers_(kHeadersPerBatch * header_bytes_) {}

  void add_pool(RemoteAddr pool) {
    const std::size_t at = requests_.size() * header_bytes_;
    requests_.push_back({pool, std::span(headers_).subspan(at, header_bytes_)});
    if (requests_.size() == kHeadersPerBatch) flush();
  }
  void flush();

  std::uint64_t used_bytes() const { return used_bytes_; }
  std::uint64_t unread() const { return unread_; }
  const std::unordered_set<std::uint64_t>& arena_indices() const { return arena_indices_; }

 private:
  void count(RemoteAddr pool, std::span<const std::byte> header);

  const MemoryReader& memory_;
  const Layout& layout_;
  std::size_t header_bytes_;
  std::vector<std::byte> headers_;
  std::vector<ReadRequest> requests_;
  std::uint64_t used_bytes_ = 0, unread_ = 0;
  std::unordered_set<std::uint64_t> arena_indices_;
};

void PoolSweep::flush() {
  memory_.read_many(requests_);
  for (const ReadRequest& request : requests_) {
    if (request.complete()) {
      count(request.addr, request.out);
    } else {
      ++unread_;
    }
  }
  requests_.clear();
}

// A pool in use: its size class, its offsets and its list of free blocks agree with each other. Of
// some 65000 pools of 12 live targets none was missed and nothing else passed.
void PoolSweep::count(RemoteAddr pool, std::span<const std::byte> header) {
  const auto get = [&](Field field) {
    const Slot slot = layout_.slots[static_cast<std::size_t>(field)];
    return load(header, slot.offset, slot.width).value_or(0);
  };
  const std::uint64_t pool_bytes = layout_.strategies.pool_bytes;
  const std::uint64_t blocks = get(Field::kPoolRefCount), size_class = get(Field::kPoolSizeIndex);
  const std::uint64_t next_offset = get(Field::kPoolNextOffset),
                      max_next = get(Field::kPoolMaxNextOffset);
  if (blocks == 0 || size_class >= kMaxSizeClasses || max_next >= pool_bytes) return;
  const std::uint64_t size = pool_bytes - max_next;  // whatever the alignment of this build
  const std::uint64_t step = size / (size_class + 1);
  if (size > kMaxBlockSize || size % (size_class + 1) != 0 || (step != 8 && step != 16)) return;
  if (blocks > (pool_bytes - header_bytes_) / size) return;
  if (next_offset < header_bytes_ || next_offset > pool_bytes + size) return;
  if ((next_offset - header_bytes_) % size != 0) return;
  const std::uint64_t free_block = get(Field::kPoolFreeBlock);
  if (free_block != 0) {
    const std::uint64_t inside = free_block - pool.value;
    if (inside < header_bytes_ || inside >= pool_bytes || (inside - header_bytes_) % size != 0)
      return;
  }
  used_bytes_ += blocks * size;
  arena_indices_.insert(get(Field::kPoolArenaIndex));
}

RemoteAddr round_up(RemoteAddr address, std::uint64_t unit) {
  return {(address.value + unit - 1) / unit * unit};
}

// The range may span mappings: adjacent ones differ where a part was advised or protected.
bool is_writable(const MemoryMap& map, RemoteAddr start, std::uint64_t size) {
  const RemoteAddr end = start + size;
  for (RemoteAddr at = start; at < end;) {
    const Mapping* mapping = find_mapping(map, at);
    if (mapping == nullptr || !mapping->writable) return false;
    at = mapping->end;
  }
  return end > start;
}

std::uint64_t writable_bytes(const MemoryMap& map) {
  std::uint64_t bytes = 0;
  for (const Mapping& mapping : map) bytes += mapping.writable ? mapping.size() : 0;
  return bytes;
}

Result<ArenaTable> arena_table(const MemoryReader& memory, const Layout& layout,
                               const Anchors& anchors, RemoteAddr interpreter) {
  if (layout.strategies.obmalloc == ObmallocPlace::kStatics) {
    if (!anchors.arenas || !anchors.max_arenas) return ArenaTable{};
    MEMSPY_TRY(first, read<std::uint64_t>(memory, anchors.arenas));
    MEMSPY_TRY(count, read<std::uint32_t>(memory, anchors.max_arenas));
    return ArenaTable{{first}, count};
  }
  RemoteAddr state = interpreter + layout.offset(Field::kInterpreterObmalloc);
  if (layout.strategies.obmalloc == ObmallocPlace::kPointer) {
    MEMSPY_TRY(pointer, read_pointer(memory, layout, interpreter, Field::kInterpreterObmalloc));
    if (!pointer) return ArenaTable{};
    state = pointer;
  }
  MEMSPY_TRY(first, read_pointer(memory, layout, state, Field::kObmallocArenas));
  MEMSPY_TRY(count, read_field(memory, layout, state, Field::kObmallocMaxArenas));
  return ArenaTable{first, count};
}

// 1 MiB as a rule; a build with huge pages has 2 MiB, which shows in the number of pools.
std::uint64_t arena_bytes_of(const Layout& layout, std::uint64_t total_pools) {
  const std::uint64_t usual = layout.strategies.arena_bytes;
  const std::uint64_t pools = std::min(total_pools, kMaxArenaBytes / layout.strategies.pool_bytes);
  return std::max(usual, std::bit_ceil(pools * layout.strategies.pool_bytes));
}

// kCorrupt: this is no array of arenas (a build that keeps it elsewhere).
Result<Unit> sweep_arenas(const MemoryReader& memory, const MemoryMap& map, const Layout& layout,
                          const ArenaTable& table, PymallocState& state) {
  const std::size_t stride = layout.size(Struct::kArena);
  if (!is_plausible(table.first) || table.count == 0 || table.count > kMaxArenas) {
    return make_error(Errc::kCorrupt,
                      fmt::format("{} arenas at {:#x}", table.count, table.first.value));
  }
  std::vector<std::byte> arenas(static_cast<std::size_t>(table.count) * stride);
  MEMSPY_CHECK(read_exact(memory, table.first, arenas));
  PoolSweep sweep(memory, layout);
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  std::uint64_t pools_left = writable_bytes(map) / pool_bytes;
  for (std::uint64_t i = 0; i < table.count; ++i) {
    const std::span<const std::byte> arena =
        std::span(arenas).subspan(static_cast<std::size_t>(i) * stride, stride);
    const RemoteAddr start{load(arena, layout.offset(Field::kArenaAddress), 8).value_or(0)};
    if (!start) continue;
    const std::uint64_t size =
        arena_bytes_of(layout, load(arena, layout.offset(Field::kArenaTotalPools), 4).value_or(0));
    // An arena that is being unmapped right now stays in the array for a moment.
    if (!is_writable(map, start, size)) {
      state.complete = false;
      continue;
    }
    ++state.arenas;
    state.arena_bytes += size;
    // Pools from here on were never cut out of the arena: nobody has touched them.
    const std::uint64_t uncut = load(arena, layout.offset(Field::kArenaPoolAddress), 8).value_or(0);
    const std::uint64_t end = std::clamp(uncut, start.value, start.value + size);
    for (RemoteAddr pool = round_up(start, pool_bytes); pool.value + pool_bytes <= end;
         pool = pool + pool_bytes) {
      if (pools_left-- == 0) return make_error(Errc::kCorrupt, "more arenas than memory");
      sweep.add_pool(pool);
    }
  }
  sweep.flush();
  if (sweep.unread() > 0) state.complete = false;
  state.used_bytes += sweep.used_bytes();
  return Unit{};
}

// Most of these headers were never touched, and many are of other things: `memory` should be one
// that does not map pages in by reading them.
// Arenas come from mmap: private, anonymous, writable, never smaller than one arena.
Result<PymallocState> scan_pools(const MemoryReader& memory, const MemoryMap& map,
                                 const Layout& layout) {
  PymallocState state;
  PoolSweep sweep(memory, layout);
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  std::uint64_t scanned = 0;
  for (const Mapping& mapping : map) {
    const bool candidate = mapping.anonymous() && mapping.path.empty() && mapping.readable &&
                           mapping.writable && !mapping.shared && !mapping.executable;
    if (!candidate || mapping.size() < layout.strategies.arena_bytes) continue;
    for (RemoteAddr pool = round_up(mapping.start, pool_bytes);
         pool.value + pool_bytes <= mapping.end.value; pool = pool + pool_bytes) {
      if (++scanned > kMaxScannedPools) {
        state.complete = false;
        break;
      }
      sweep.add_pool(pool);
    }
  }
  sweep.flush();
  state.arenas = sweep.arena_indices().size();
  state.arena_bytes = state.arenas * layout.strategies.arena_bytes;
  state.used_bytes = sweep.used_bytes();
  return state;
}

Error not_in_use() {
  Error error = make_error(Errc::kUnsupported, "pymalloc is not in use in this process");
  error.why = "it has no arenas: PYTHONMALLOC=malloc or mimalloc, or nothing was allocated yet";
  return error;
}

}  // namespace

Result<PymallocState> read_pymalloc(const MemoryReader& memory, const MemoryMap& map,
                                    const Layout& layout, const Anchors& anchors) {
  MEMSPY_TRY(interpreters, list_interpreters(memory, layout, anchors));
  PymallocState state;
  std::unordered_set<RemoteAddr> seen;  // interpreters may share one array
  for (const InterpreterRef& interpreter : interpreters) {
    const auto table = arena_table(memory, layout, anchors, interpreter.address);
    if (!table || !table->first || !seen.insert(table->first).second) continue;
    if (!sweep_arenas(memory, map, layout, *table, state)) state.complete = false;
  }
  if (state.arenas == 0) {
    MEMSPY_TRY(scanned, scan_pools(memory, map, layout));
    state = scanned;
  }
  if (state.arenas == 0) return not_in_use();
  state.free_bytes =
      state.arena_bytes > state.used_bytes ? state.arena_bytes - state.used_bytes : 0;
  return state;
}

}  // namespace memspy::cpython

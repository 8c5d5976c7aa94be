#include "cpython/pymalloc.h"

#include <unordered_set>

#include <spdlog/fmt/fmt.h>

#include "cpython/pools/arena.h"
#include "cpython/pools/pool_batch.h"
#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxArenas = 1U << 18;  // 256 GiB of 1 MiB arenas
// A sweep without symbols looks at one header in this many pools at most: 16 GiB of 16 KiB pools.
constexpr std::uint64_t kMaxScannedPools = 1U << 20;

// Sums pools up as their headers are read.
class PoolSum {
 public:
  PoolSum(const MemoryReader& memory, const Layout& layout) : memory_(memory), batch_(layout) {}

  void add_pool(RemoteAddr pool) {
    if (batch_.add(pool)) flush();
  }
  void flush() {
    unread_ += batch_.flush(memory_, [&](RemoteAddr, const PoolHeader& header) {
      used_bytes_ += std::uint64_t{header.used} * header.block_bytes;
      used_blocks_ += header.used;
      arena_indices_.insert(header.arena);
    });
  }

  std::uint64_t used_bytes() const { return used_bytes_; }
  std::uint64_t used_blocks() const { return used_blocks_; }
  std::uint64_t unread() const { return unread_; }
  const std::unordered_set<std::uint32_t>& arena_indices() const { return arena_indices_; }

 private:
  const MemoryReader& memory_;
  PoolBatch batch_;
  std::uint64_t used_bytes_ = 0, used_blocks_ = 0, unread_ = 0;
  std::unordered_set<std::uint32_t> arena_indices_;
};

std::uint64_t writable_bytes(const MemoryMap& map) {
  std::uint64_t bytes = 0;
  for (const Mapping& mapping : map) bytes += mapping.writable ? mapping.size() : 0;
  return bytes;
}

// kCorrupt: this is no array of arenas (a build that keeps it elsewhere).
Result<Unit> sweep_arenas(const MemoryReader& memory, const MemoryMap& map, const Layout& layout,
                          const ArenaTable& table, PymallocState& state) {
  if (!is_plausible(table.first) || table.count == 0 || table.count > kMaxArenas) {
    return make_error(Errc::kCorrupt,
                      fmt::format("{} arenas at {:#x}", table.count, table.first.value));
  }
  const ArenasRead read = read_arenas(memory, map, layout, table);
  if (!read.whole) {
    return make_error(Errc::kUnreadable,
                      fmt::format("{} arenas at {:#x}", table.count, table.first.value));
  }
  if (read.left_out > 0) state.complete = false;
  PoolSum sweep(memory, layout);
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  std::uint64_t pools_left = writable_bytes(map) / pool_bytes;
  for (const Arena& arena : read.arenas) {
    ++state.arenas;
    state.arena_bytes += arena.bytes;
    // Pools from `uncut` on nobody has touched.
    for (RemoteAddr pool = arena.first_pool; pool.value + pool_bytes <= arena.uncut.value;
         pool = pool + pool_bytes) {
      if (pools_left-- == 0) return make_error(Errc::kCorrupt, "more arenas than memory");
      sweep.add_pool(pool);
    }
  }
  sweep.flush();
  if (sweep.unread() > 0) state.complete = false;
  state.used_bytes += sweep.used_bytes();
  state.used_blocks += sweep.used_blocks();
  return Unit{};
}

// Most of these headers were never touched, and many are of other things: `memory` should be one
// that does not map pages in by reading them.
// A mapping that holds arenas is never smaller than one.
Result<PymallocState> scan_pools(const MemoryReader& memory, const MemoryMap& map,
                                 const Layout& layout) {
  PymallocState state;
  PoolSum sweep(memory, layout);
  const std::uint64_t pool_bytes = layout.strategies.pool_bytes;
  std::uint64_t scanned = 0;
  for (const Mapping& mapping : map) {
    if (!may_hold_arenas(mapping) || mapping.size() < layout.strategies.arena_bytes) continue;
    for (RemoteAddr pool = first_pool_at(mapping.start, pool_bytes);
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
  state.used_blocks = sweep.used_blocks();
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
  MEMSPY_TRY(tables, arena_tables(memory, layout, anchors));
  PymallocState state;
  for (const ArenaTable& table : tables) {
    if (!sweep_arenas(memory, map, layout, table, state)) state.complete = false;
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

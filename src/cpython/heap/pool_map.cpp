#include "cpython/heap/pool_map.h"

#include <algorithm>
#include <bit>
#include <map>

#include "cpython/pools/arena_search.h"
#include "cpython/pools/pool_header.h"
#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxArenas = 1U << 20;  // 1 TiB of 1 MiB arenas
constexpr std::uint64_t kMaxPools = 1U << 28;

}  // namespace

PoolMap PoolMap::read(const HeapInput& input, HeapBytes& bytes) {
  PoolMap map;
  const Layout& layout = input.interpreter.layout();
  map.pool_bytes_ = layout.strategies.pool_bytes;
  map.arena_bytes_ = layout.strategies.arena_bytes;
  map.header_bytes_ = layout.size(Struct::kPool);
  const auto tables = arena_tables(input.memory, layout, input.interpreter.anchors());
  bool found = false;
  if (tables) {
    for (const ArenaTable& table : *tables) {
      if (is_plausible(table.first)) found = map.add_arenas(input, bytes, table) || found;
    }
  }
  if (!found) {
    map.scan(input, bytes);
    map.use_lost_table(input, bytes);
  }
  map.finish();
  return map;
}

// False: this is no array of arenas.
bool PoolMap::add_arenas(const HeapInput& input, HeapBytes& bytes, const ArenaTable& table) {
  const Layout& layout = input.interpreter.layout();
  if (table.count == 0 || table.count > kMaxArenas) return false;
  const auto arenas = read_arenas(input.memory, input.map, layout, table).arenas;
  for (const Arena& arena : arenas) {
    ++arenas_;
    arenas_total_ += arena.bytes;
    arena_ranges_.push_back({arena.start, arena.bytes});
    for (RemoteAddr pool = arena.first_pool;
         pool.value + pool_bytes_ <= arena.start.value + arena.bytes; pool = pool + pool_bytes_) {
      add_pool(bytes, layout, pool);
    }
  }
  return !arenas.empty();
}

void PoolMap::scan(const HeapInput& input, HeapBytes& bytes) {
  by_scan_ = true;
  const Layout& layout = input.interpreter.layout();
  // Adjacent mappings differ where a part was advised or protected: an arena may span them.
  RemoteAddr end;
  for (const Mapping& mapping : input.map) {
    if (!may_hold_arenas(mapping) || (mapping.size() < arena_bytes_ && mapping.start != end))
      continue;
    end = mapping.end;
    for (RemoteAddr pool = first_pool_at(mapping.start, pool_bytes_);
         pool.value + pool_bytes_ <= mapping.end.value; pool = pool + pool_bytes_) {
      add_pool(bytes, layout, pool);
    }
  }
  // Pools name their arena by number; numbers are unique only within one interpreter.
  std::map<std::uint32_t, std::vector<std::uint64_t>> by_arena;
  for (const Pool& pool : pools_) by_arena[pool.arena].push_back(pool.address.value);
  for (auto& [arena, addresses] : by_arena) {
    std::uint64_t first = 0;
    for (const std::uint64_t address : addresses) {
      if (first == 0 || address - first >= arena_bytes_) {
        first = address;
        ++arenas_;
        arena_ranges_.push_back({{first}, 0});
      }
      // From the first pool in use to the last: where the arena begins is not known.
      arena_ranges_.back().size = address + pool_bytes_ - first;
    }
  }
  arenas_total_ = arenas_ * arena_bytes_;
}

// What was scanned is read again by way of the array, which also says where arenas begin.
void PoolMap::use_lost_table(const HeapInput& input, HeapBytes& bytes) {
  const Layout& layout = input.interpreter.layout();
  if (layout.strategies.obmalloc != ObmallocPlace::kStatics) return;
  ArenaSpans spans;
  for (const Pool& pool : pools_) {
    if (pool.arena < kMaxArenas) spans[pool.arena].widen(pool.address, pool_bytes_);
  }
  const RemoteAddr variable =
      find_arena_variable(layout, input.memory, input.map, input.symbols, spans);
  if (!variable) return;
  const ArenaTable table{bytes.pointer(variable), spans.rbegin()->first + std::uint64_t{1}};
  PoolMap through_table;
  through_table.pool_bytes_ = pool_bytes_;
  through_table.arena_bytes_ = arena_bytes_;
  through_table.header_bytes_ = header_bytes_;
  if (through_table.add_arenas(input, bytes, table)) {
    *this = std::move(through_table);
  }
}

void PoolMap::add_pool(HeapBytes& bytes, const Layout& layout, RemoteAddr address) {
  if (pools_.size() >= kMaxPools) return;
  const auto head = bytes.bytes(address, header_bytes_);
  if (head.size() < header_bytes_) return;
  const auto header = decode_pool(layout, address, head);
  if (!header) return;
  Pool pool;
  pool.address = address;
  pool.block_bytes = header->block_bytes;
  pool.blocks = header->blocks;
  pool.arena = header->arena;
  pool.first_state = states_.size();
  states_.resize(states_.size() + pool.blocks, static_cast<std::uint8_t>(BlockState::kFree));
  std::fill_n(states_.begin() + static_cast<std::ptrdiff_t>(pool.first_state), header->reached,
              static_cast<std::uint8_t>(BlockState::kUsed));
  RemoteAddr at = header->free_block;
  for (std::uint32_t steps = 0; at; ++steps) {
    const std::uint32_t block = block_of(pool, at);
    if (steps > pool.blocks || block >= pool.blocks || block_start(pool, block) != at ||
        state(pool, block) == BlockState::kFree) {
      ++rejected_;
      break;
    }
    set_state(pool, block, BlockState::kFree);
    at = bytes.pointer(at);
  }
  pools_.push_back(pool);
}

void PoolMap::finish() {
  std::sort(arena_ranges_.begin(), arena_ranges_.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.start < b.start; });
  std::sort(pools_.begin(), pools_.end(),
            [](const Pool& a, const Pool& b) { return a.address < b.address; });
  table_.assign(std::bit_ceil(std::max<std::size_t>(16, pools_.size() * 2)), 0);
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    std::size_t at = static_cast<std::size_t>(
        pools_[i].address.value / pool_bytes_ * 0x9e3779b97f4a7c15ULL >> 24);
    while (table_[at & (table_.size() - 1)] != 0) ++at;
    table_[at & (table_.size() - 1)] = static_cast<std::uint32_t>(i + 1);
  }
}

const Pool* PoolMap::find(RemoteAddr address) const {
  const std::uint64_t start = address.value & ~(pool_bytes_ - 1);
  std::size_t at = static_cast<std::size_t>(start / pool_bytes_ * 0x9e3779b97f4a7c15ULL >> 24);
  for (;; ++at) {
    const std::uint32_t entry = table_[at & (table_.size() - 1)];
    if (entry == 0) return nullptr;
    if (pools_[entry - 1].address.value == start) return &pools_[entry - 1];
  }
}

std::uint32_t PoolMap::block_of(const Pool& pool, RemoteAddr address) const {
  const std::uint64_t inside = address.value - pool.address.value;
  if (inside < header_bytes_) return pool.blocks;
  const std::uint64_t block = (inside - header_bytes_) / pool.block_bytes;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(block, pool.blocks));
}

PymallocBytes PoolMap::account() const {
  PymallocBytes sum;
  sum.arenas = arenas_total_;
  sum.pools = pools_.size();
  for (const Pool& pool : pools_) {
    std::uint64_t by_state[4] = {};
    for (std::uint32_t i = 0; i < pool.blocks; ++i) ++by_state[states_[pool.first_state + i]];
    const std::uint64_t size = pool.block_bytes;
    sum.free_blocks += by_state[0] * size;
    sum.other_blocks += by_state[1] * size;
    sum.live_objects += by_state[2] * size;
    sum.owned_blocks += by_state[3] * size;
    sum.used_blocks += by_state[1] + by_state[2] + by_state[3];
    sum.headers += pool_bytes_ - pool.blocks * size;
  }
  const std::uint64_t in_use = pools_.size() * pool_bytes_;
  sum.arenas = std::max(sum.arenas, in_use);
  sum.free_pools = sum.arenas - in_use;
  return sum;
}

}  // namespace memspy::cpython

#include "cpython/heap/heap_census.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

#include "cpython/gc_state.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxReferences = 1ULL << 40;  // no count is larger
constexpr std::uint64_t kMaxNodes = 0xfffffff0;       // numbers are 32 bits
constexpr std::uint64_t kMaxListed = 1ULL << 31;
constexpr std::uint64_t kLinkFlags = 3;         // low bits of a list's links, 3.8+
constexpr std::uint64_t kFinalized = 1;         // the lowest bit of `prev`, 3.8+
constexpr std::uint64_t kMaxOverflow = 0xff;    // of a pinned count
constexpr std::uint64_t kMinPointer = 0x10000;  // no mapping below: vm.mmap_min_addr

// A str without a cached encoding is allocated up to its characters, a time without a zone up to
// it.
constexpr std::uint64_t kMaxShortfall = 64;

// PYTHONMALLOC=debug: the size, then the allocator's letter and seven forbidden bytes.
constexpr std::uint32_t kHookBytes = 16;

bool has_hook(const std::byte* block) {
  const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(block[8 + i]); };
  if (at(0) != 'o' && at(0) != 'm' && at(0) != 'r') return false;
  const unsigned forbidden = at(1);
  if (forbidden != 0xfd && forbidden != 0xfb) return false;  // 0xfb up to 3.7
  for (std::size_t i = 2; i < 8; ++i) {
    if (at(i) != forbidden) return false;
  }
  return true;
}

std::uint64_t word_at(const std::byte* at) {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

}  // namespace

struct HeapCensus::TypeCache {
  struct Entry {
    std::uint64_t address = 0;
    const TypeFacts* type = nullptr;
  };
  std::array<Entry, 256> entries{};

  const TypeFacts* find(std::uint64_t address, TypeTable& types) {
    Entry& entry = entries[(address >> 4 ^ address >> 12) % entries.size()];
    if (entry.address != address) entry = {address, types.find({address})};
    return entry.type;
  }
};

HeapCensus::HeapCensus(const HeapInput& input, HeapBytes& bytes, TypeTable& types, WalkStats& stats)
    : input_(input),
      layout_(input.interpreter.layout()),
      bytes_(bytes),
      types_(types),
      stats_(stats),
      pools_(PoolMap::read(input, bytes)),
      outside_table_(1024) {
  const std::uint16_t width = layout_.slots[static_cast<std::size_t>(Field::kObjectRefcount)].width;
  count_mask_ = width >= 8 ? ~std::uint64_t{0} : (1ULL << 8 * width) - 1;
  for (const ModuleImage* module : input.symbols.modules()) {
    for (const AddressRange& range : module->writable_segments()) static_ranges_.push_back(range);
  }
  std::sort(static_ranges_.begin(), static_ranges_.end(),
            [](const auto& a, const auto& b) { return a.start < b.start; });
}

bool HeapCensus::is_static(RemoteAddr address) const {
  auto after =
      std::upper_bound(static_ranges_.begin(), static_ranges_.end(), address,
                       [](RemoteAddr at, const AddressRange& range) { return at < range.start; });
  return after != static_ranges_.begin() &&
         address.value - std::prev(after)->start.value < std::prev(after)->size;
}

// An object's first word counts references. A dead object kept for reuse has none, or a link to the
// next one there (3.14+); an array of pointers, which a type may follow as well, has a pointer.
bool HeapCensus::is_alive(std::uint64_t count_word) const {
  const auto count = static_cast<std::int64_t>(count_word & count_mask_);
  if (count <= 0 || static_cast<std::uint64_t>(count) >= kMaxReferences) return false;
  // Above a count of 32 bits (3.14+) is how often it has overflowed, and flags.
  if (count_mask_ >> 32 == 0 && (count_word >> 32 & 0xffff) > kMaxOverflow) return false;
  if (count_word < kMinPointer || count_word % 8 != 0) return true;
  if (layout_.strategies.immortal_objects && count_word >> 31 == 1) return true;  // a pinned count
  return find_mapping(input_.map, {count_word}) == nullptr;
}

// The collector's head of an object that is in one of its lists, or in none. In a collection `prev`
// is anything. An object that looks like one, but has the index of a dict's table for its count and
// the hash of a type (its address) for its type, has the table's own counts there.
bool HeapCensus::is_head(const std::byte* head) const {
  if (!layout_.strategies.unlinked_heads_are_empty) return true;
  const std::uint64_t next = word_at(head + layout_.offset(Field::kGcHeadNext));
  if (next != 0) return is_plausible({next & ~kLinkFlags});
  return word_at(head + layout_.offset(Field::kGcHeadPrev)) <= kFinalized;
}

std::uint8_t HeapCensus::flags_of(std::uint64_t count_word) const {
  const bool pinned = layout_.strategies.immortal_objects && (count_word >> 31 & 1) != 0;
  return pinned ? kNodeImmortal : 0;
}

void HeapCensus::sweep_pools() {
  TypeCache cache;
  first_of_pool_.reserve(pools_.pools().size() + 1);
  for (const Pool& pool : pools_.pools()) {
    first_of_pool_.push_back(static_cast<std::uint32_t>(pool_objects_.size()));
    if (pool_objects_.size() + pool.blocks < kMaxNodes) sweep_pool(pool, cache);
  }
  first_of_pool_.push_back(static_cast<std::uint32_t>(pool_objects_.size()));
  stats_.from_pools = pool_objects_.size();
  stats_.rejected += pools_.rejected();
}

// A block is an object when the word behind a count of references is a type whose instances begin
// just there: at the block's start, behind a collector's head, behind that and two managed words.
void HeapCensus::sweep_pool(const Pool& pool, TypeCache& cache) {
  const std::uint32_t head = layout_.size(Struct::kGcHead);
  const std::uint32_t type_at = layout_.offset(Field::kObjectType);
  const std::uint32_t count_at = layout_.offset(Field::kObjectRefcount);
  const bool managed = layout_.strategies.instance_dict != InstanceDictKind::kDictOffset;
  const std::array<std::uint32_t, 3> starts = {0, head, head + 16};
  const std::size_t candidates = managed ? 3 : 2;
  const auto all =
      bytes_.bytes(pools_.block_start(pool, 0), std::size_t{pool.blocks} * pool.block_bytes);
  if (all.empty()) return;
  for (std::uint32_t i = 0; i < pool.blocks; ++i) {
    if (pools_.state(pool, i) != BlockState::kUsed) continue;
    const std::byte* block = all.data() + std::size_t{i} * pool.block_bytes;
    const std::uint32_t hook = pool.block_bytes > kHookBytes && has_hook(block) ? kHookBytes : 0;
    if (hook != 0) hook_bytes_ = hook;
    for (std::size_t k = 0; k < candidates; ++k) {
      const std::uint32_t start = hook + starts[k];
      if (start + type_at + 8 > pool.block_bytes) break;
      const std::uint64_t type_word = word_at(block + start + type_at);
      if (!is_plausible({type_word})) continue;
      const TypeFacts* type = cache.find(type_word, types_);
      if (type == nullptr || type->head_bytes != starts[k]) continue;
      // A type object is larger than any block; strings and times may end before tp_basicsize.
      if (static_cast<std::uint64_t>(type->basic_size) > pool.block_bytes + kMaxShortfall) continue;
      const std::uint64_t count_word = word_at(block + start + count_at);
      if (!is_alive(count_word)) continue;
      if (type->has_gc() && !is_head(block + start - head)) continue;
      const RemoteAddr object = pools_.block_start(pool, i) + start;
      pool_objects_.add(object, type->index.value,
                        static_cast<std::uint8_t>(kNodeInPool | flags_of(count_word)));
      pools_.set_state(pool, i, BlockState::kObject);
      break;
    }
  }
}

std::size_t HeapCensus::outside_slot(std::uint64_t address) const {
  const std::size_t mask = outside_table_.size() - 1;
  std::size_t at = static_cast<std::size_t>((address >> 3) * 0x9e3779b97f4a7c15ULL >> 20);
  for (;; ++at) {
    const std::uint32_t entry = outside_table_[at & mask];
    if (entry == 0 || outside_.address[entry - 1] == address) return at & mask;
  }
}

bool HeapCensus::insert_outside(RemoteAddr address, const TypeFacts& type, std::uint8_t flags) {
  const std::size_t slot = outside_slot(address.value);
  if (outside_table_[slot] != 0 || found() >= kMaxNodes) return false;
  outside_.add(address, type.index.value, flags);
  outside_table_[slot] = static_cast<std::uint32_t>(outside_.size());
  if (2 * outside_.size() > outside_table_.size()) {
    outside_table_.assign(outside_table_.size() * 2, 0);
    for (std::size_t i = 0; i < outside_.size(); ++i) {
      outside_table_[outside_slot(outside_.address[i])] = static_cast<std::uint32_t>(i + 1);
    }
  }
  return true;
}

// Words that only look like an object mostly claim a length that runs out of their memory.
bool HeapCensus::has_room(RemoteAddr address, const TypeFacts& type) {
  std::uint64_t items = 0, item_bytes = 0;
  if (type.rule == TypeRule::kUnicode) {
    items = bytes_.word(address + layout_.offset(Field::kUnicodeLength));
    item_bytes = 1;
  } else if (type.rule == TypeRule::kBytes || type.rule == TypeRule::kTuple) {
    items = bytes_.word(address + layout_.offset(Field::kVarObjectSize));
    item_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(type.item_size, 0));
  }
  if (items >= kMaxReferences) return false;
  std::uint64_t left = items * item_bytes + layout_.size(Struct::kVarObject);
  for (RemoteAddr at = address; left > 0;) {
    const Mapping* mapping = find_mapping(input_.map, at);
    if (mapping == nullptr) return false;
    left -= std::min(left, mapping->end.value - at.value);
    at = mapping->end;
  }
  return true;
}

void HeapCensus::reach(RemoteAddr address) {
  if (!is_plausible(address) || pools_.find(address) != nullptr) return;
  if (outside_table_[outside_slot(address.value)] != 0) return;
  const auto head = bytes_.bytes(address, layout_.size(Struct::kObject));
  if (head.empty()) return;
  const std::uint64_t count_word = word_at(head.data() + layout_.offset(Field::kObjectRefcount));
  const RemoteAddr type_address{word_at(head.data() + layout_.offset(Field::kObjectType))};
  const TypeFacts* type = types_.find(type_address);
  if (type == nullptr || !is_alive(count_word) || !has_room(address, *type)) return;
  insert_outside(address, *type, flags_of(count_word));
}

void HeapCensus::walk_lists() {
  const auto interpreters = list_interpreters(input_.memory, layout_, input_.interpreter.anchors());
  if (!interpreters) return;
  const Anchors& anchors = input_.interpreter.anchors();
  std::unordered_set<RemoteAddr> seen;
  for (const InterpreterRef& interpreter : *interpreters) {
    stats_.collecting =
        stats_.collecting || input_.interpreter.collecting(input_.memory, interpreter.address);
    const RemoteAddr base = gc_base(layout_, anchors, interpreter.address);
    const RemoteAddr generations =
        base ? base + layout_.offset(Field::kGcGenerations) : anchors.gc_generations;
    if (!generations || !seen.insert(generations).second) continue;
    for (std::uint8_t i = 0; i < 3; ++i) {
      walk_list(generations + std::uint64_t{i} * layout_.size(Struct::kGcGeneration), i);
    }
    if (base && layout_.has(Field::kGcPermanentGeneration)) {
      walk_list(base + layout_.offset(Field::kGcPermanentGeneration), 3);
    }
  }
}

// In a collection `prev` is no pointer and parts of the lists hang on the C stack: only `next` is
// followed, and a ring that does not pass the head is noticed (Brent).
void HeapCensus::walk_list(RemoteAddr head, std::uint8_t generation) {
  const std::uint32_t next_at = layout_.offset(Field::kGcHeadNext);
  const std::uint32_t head_bytes = layout_.size(Struct::kGcHead);
  RemoteAddr tortoise;
  std::uint64_t limit = 64;
  RemoteAddr at{bytes_.word(head + next_at) & ~kLinkFlags};
  for (std::uint64_t steps = 0; at && at != head && at != tortoise && steps < kMaxListed; ++steps) {
    if (!is_plausible(at)) break;
    ++stats_.gc_listed;
    mark_listed(at + head_bytes, generation);
    if (steps == limit) {
      tortoise = at;
      limit *= 2;
    }
    at = {bytes_.word(at + next_at) & ~kLinkFlags};
  }
}

void HeapCensus::mark_listed(RemoteAddr object, std::uint8_t generation) {
  const auto mark = [&](std::uint8_t& flags) {
    flags = static_cast<std::uint8_t>(flags | kNodeGcTracked | generation << kNodeGenerationShift);
  };
  const Pool* pool = pools_.find(object);
  if (pool == nullptr) {
    reach(object);
    const std::uint32_t entry = outside_table_[outside_slot(object.value)];
    if (entry == 0) {
      ++stats_.listed_not_found;
      return;
    }
    mark(outside_.flags[entry - 1]);
    ++stats_.from_lists;
    return;
  }
  const auto number = static_cast<std::size_t>(pool - pools_.pools().data());
  const std::uint64_t* const begin = pool_objects_.address.data();
  const auto first = begin + first_of_pool_[number], last = begin + first_of_pool_[number + 1];
  const auto found = std::lower_bound(first, last, object.value);
  if (found == last || *found != object.value) {
    ++stats_.listed_not_found;
    return;
  }
  mark(pool_objects_.flags[static_cast<std::size_t>(found - begin)]);
}

void HeapCensus::sort_outside() {
  for (const RemoteAddr keys : shared_keys_) {
    if (outside_table_[outside_slot(keys.value)] != 0) continue;
    const bool in_pool = pools_.find(keys) != nullptr;
    // Freed since its type was last used, and taken by an object.
    const auto addresses = pool_objects_.address.view();
    if (in_pool && std::binary_search(addresses.begin(), addresses.end(), keys.value)) {
      ++stats_.rejected;
      continue;
    }
    outside_.add(keys, kSharedKeysType, in_pool ? kNodeInPool : 0);
  }
  std::vector<std::uint32_t> order(outside_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return outside_.address[a] < outside_.address[b];
  });
  Objects sorted;
  for (const std::uint32_t i : order) {
    if (sorted.size() != 0 && sorted.address.back() == outside_.address[i]) continue;
    std::uint8_t flags = outside_.flags[i];
    if (is_static({outside_.address[i]})) flags |= kNodeStatic | kNodeImmortal;
    sorted.add({outside_.address[i]}, outside_.type[i], flags);
  }
  outside_ = std::move(sorted);
}

// Both halves ascend: merged in place from the back.
void HeapCensus::finish() {
  sort_outside();
  outside_table_ = {};
  std::size_t from_pools = pool_objects_.size(), from_outside = outside_.size();
  std::size_t to = from_pools + from_outside;
  pool_objects_.resize(to);
  const auto put = [&](std::uint64_t address, std::uint32_t type, std::uint8_t flags) {
    --to;
    pool_objects_.address[to] = address;
    pool_objects_.type[to] = type;
    pool_objects_.flags[to] = flags;
  };
  while (from_outside > 0) {
    const std::size_t o = from_outside - 1;
    if (from_pools > 0 && pool_objects_.address[from_pools - 1] > outside_.address[o]) {
      const std::size_t p = --from_pools;
      put(pool_objects_.address[p], pool_objects_.type[p], pool_objects_.flags[p]);
    } else {
      put(outside_.address[o], outside_.type[o], outside_.flags[o]);
      --from_outside;
    }
  }
  outside_ = {};
  first_of_pool_ = {};
  index_.build(pool_objects_.address.view());
  stats_.objects = size() - shared_keys_.size();
}

void HeapCensus::forget_objects() {
  index_ = {};
  pool_objects_ = {};
}

}  // namespace memspy::cpython

// The objects of a heap, found three ways: block by block in pymalloc's pools, on the collector's
// lists, and by references. A pool's objects are decided by its blocks alone; what lies elsewhere
// (malloc, static data) has to be led to.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

#include "base/column.h"
#include "cpython/heap/address_index.h"
#include "cpython/heap/heap_bytes.h"
#include "cpython/heap/heap_walker.h"
#include "cpython/heap/pool_map.h"
#include "cpython/heap/type_table.h"

namespace memspy::cpython {

class HeapCensus {
 public:
  HeapCensus(const HeapInput& input, HeapBytes& bytes, TypeTable& types, WalkStats& stats);

  void sweep_pools();
  // Marks what is on the lists and queues what lies outside of the pools.
  void walk_lists();
  // A reference leads to `address`. Queues an object that is not in a pool and was not met before.
  void reach(RemoteAddr address);
  // A table of keys that several objects share: a node without a type of Python's.
  void add_shared_keys(RemoteAddr keys) {
    if (keys) shared_keys_.insert(keys);
  }

  // While references are followed: the pools' objects, then what was queued. The end
  // moves.
  std::size_t found_in_pools() const { return pool_objects_.size(); }
  bool in_pool(RemoteAddr address) const { return pools_.find(address) != nullptr; }
  std::size_t found() const { return pool_objects_.size() + outside_.size(); }
  RemoteAddr address_of(std::size_t i) const {
    return {i < pool_objects_.size() ? pool_objects_.address[i]
                                     : outside_.address[i - pool_objects_.size()]};
  }
  void mark_found(std::size_t i, NodeFlag flag) {
    std::uint8_t& flags = i < pool_objects_.size() ? pool_objects_.flags[i]
                                                   : outside_.flags[i - pool_objects_.size()];
    flags = static_cast<std::uint8_t>(flags | flag);
  }
  const TypeFacts* type_of(std::size_t i) const {
    return types_
        .all()[i < pool_objects_.size() ? pool_objects_.type[i]
                                        : outside_.type[i - pool_objects_.size()]]
        .get();
  }

  // Ends the search: every object gets its number, ascending by address. Then:
  void finish();
  std::size_t size() const { return pool_objects_.size(); }
  RemoteAddr address(std::size_t node) const { return {pool_objects_.address[node]}; }
  // nullptr: a shared table of keys
  const TypeFacts* type(std::size_t node) const {
    const std::uint32_t type = pool_objects_.type[node];
    return type < types_.all().size() ? types_.all()[type].get() : nullptr;
  }
  std::uint8_t flags(std::size_t node) const { return pool_objects_.flags[node]; }
  NodeIndex find(RemoteAddr address) const { return index_.find(address); }
  // Gives back what is known of objects one by one; there are none from then on.
  void forget_objects();

  PoolMap& pools() { return pools_; }
  bool is_static(RemoteAddr address) const;
  // Something that contradicts itself, and what it claims to cover.
  void reject(std::uint64_t bytes) {
    ++stats_.rejected;
    stats_.rejected_bytes += bytes;
  }
  // Bytes that debug hooks (PYTHONMALLOC=debug) put before what they hand out.
  std::uint32_t hook_bytes() const { return hook_bytes_; }

 private:
  static constexpr std::uint32_t kSharedKeysType = 0xffffffff;

  struct Objects {  // one column per attribute: 13 bytes an object
    Column<std::uint64_t> address;
    Column<std::uint32_t> type;
    Column<std::uint8_t> flags;
    std::size_t size() const { return address.size(); }
    void add(RemoteAddr at, std::uint32_t kind, std::uint8_t bits) {
      address.push_back(at.value);
      type.push_back(kind);
      flags.push_back(bits);
    }
    void resize(std::size_t count) {
      address.resize(count);
      type.resize(count);
      flags.resize(count);
    }
  };
  struct TypeCache;  // the types met last

  void sweep_pool(const Pool& pool, TypeCache& cache);
  bool is_alive(std::uint64_t count_word) const;
  bool is_head(const std::byte* head) const;
  std::uint8_t flags_of(std::uint64_t count_word) const;
  bool has_room(RemoteAddr address, const TypeFacts& type);
  void walk_list(RemoteAddr head, std::uint8_t generation);
  void mark_listed(RemoteAddr object, std::uint8_t generation);
  std::size_t outside_slot(std::uint64_t address) const;
  bool insert_outside(RemoteAddr address, const TypeFacts& type, std::uint8_t flags);
  void sort_outside();

  const HeapInput& input_;
  const Layout& layout_;
  HeapBytes& bytes_;
  TypeTable& types_;
  WalkStats& stats_;
  PoolMap pools_;
  std::uint64_t count_mask_ = 0;  // of the first word: what counts references
  std::uint32_t hook_bytes_ = 0;
  Objects pool_objects_;  // after finish(): all
  Objects outside_;
  std::vector<std::uint32_t> first_of_pool_;  // pool_objects_ of a pool; one more at the end
  std::vector<std::uint32_t> outside_table_;  // number + 1 by hash of the address
  std::unordered_set<RemoteAddr> shared_keys_;
  std::vector<AddressRange> static_ranges_;  // ascending
  AddressIndex index_;
};

}  // namespace memspy::cpython

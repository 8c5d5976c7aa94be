// pymalloc itself, working in a fake memory: blocks are taken and given back as the allocator does,
// so that what reads its pools can be held to what it does next.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "memspy/memory_map.h"
#include "support/py_process.h"

namespace memspy::testing {

class PymallocImage {
 public:
  // Puts its arenas and their array into `process`, where the layout says that they are.
  explicit PymallocImage(PyProcess& process, std::uint64_t arenas = 2);

  RemoteAddr take(std::uint32_t size_class);
  void give_back(RemoteAddr block);

  RemoteAddr used_pools() const;
  MemoryMap map() const;
  std::uint64_t used(std::uint32_t size_class) const { return used_.at(size_class); }
  RemoteAddr arena(std::size_t i) const { return arenas_.at(i); }

 private:
  RemoteAddr head(std::uint32_t size_class) const;
  std::uint64_t get(RemoteAddr base, cpython::Field field) const;
  void put(RemoteAddr base, cpython::Field field, std::uint64_t value);
  void unlink(RemoteAddr pool);
  void link_first(RemoteAddr pool, std::uint32_t size_class);
  RemoteAddr take_pool();
  RemoteAddr take_from_new_pool(std::uint32_t size_class);
  std::uint64_t size_of(std::uint32_t size_class) const { return (size_class + 1) * 16; }
  RemoteAddr arena_entry(std::size_t i) const;
  std::size_t arena_of(RemoteAddr pool) const;
  void order_arenas();

  PyProcess& process_;
  std::uint64_t pool_bytes_, arena_bytes_, header_bytes_;
  RemoteAddr table_, lists_;
  std::vector<RemoteAddr> arenas_;
  std::vector<std::uint64_t> used_;
};

}  // namespace memspy::testing

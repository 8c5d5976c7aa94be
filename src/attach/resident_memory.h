// A live process' memory as far as it is resident. Reading a page that was never touched makes the
// kernel map one: the target would grow by being looked at, and its own first touch would go
// unseen. Sweeps over memory whose contents are not known to be in use read through this.
#pragma once

#include <vector>

#include "memspy/memory_reader.h"
#include "procfs/pagemap.h"

namespace memspy::attach {

class ResidentMemory final : public MemoryReader {
 public:
  // `memory` must outlive it. kPermission, kNoSuchProcess: as for Pagemap.
  static Result<ResidentMemory> open(const procfs::ProcDir& proc, Pid pid,
                                     const MemoryReader& memory);

  // Pages that are not there, or are in swap, read as unreadable.
  std::size_t read_some(RemoteAddr addr, std::span<std::byte> out) const override;
  // Requests in order of address cost one look at the page tables for some thousand pages.
  void read_many(std::span<ReadRequest> requests) const override;

 private:
  ResidentMemory(procfs::Pagemap pagemap, const MemoryReader& memory)
      : pagemap_(std::move(pagemap)), memory_(&memory) {}
  bool is_resident(std::uint64_t page) const;
  std::size_t resident_prefix(RemoteAddr addr, std::size_t size) const;

  procfs::Pagemap pagemap_;
  const MemoryReader* memory_;
  // The part of the page tables read last; forgotten at the end of each call.
  mutable std::vector<std::uint64_t> entries_;
  mutable std::uint64_t first_page_ = 0;
  mutable std::size_t known_ = 0;
  mutable std::vector<ReadRequest> wanted_;
};

}  // namespace memspy::attach

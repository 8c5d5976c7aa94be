#include "attach/resident_memory.h"

#include <algorithm>

namespace memspy::attach {
namespace {

constexpr std::size_t kResidentEntriesAtOnce = 4096;  // 16 MiB of addresses, 32 KiB of page table

}  // namespace

Result<ResidentMemory> ResidentMemory::open(const procfs::ProcDir& proc, Pid pid,
                                            const MemoryReader& memory) {
  MEMSPY_TRY(pagemap, procfs::Pagemap::open(proc, pid));
  return ResidentMemory(std::move(pagemap), memory);
}

bool ResidentMemory::is_resident(std::uint64_t page) const {
  if (page - first_page_ >= known_) {
    entries_.resize(kResidentEntriesAtOnce);
    const auto got = pagemap_.read(RemoteAddr{page * procfs::page_size()}, entries_);
    first_page_ = page;
    known_ = got.has_value() ? *got : 0;
    if (known_ == 0) return false;
  }
  return procfs::page_present(entries_[page - first_page_]);
}

std::size_t ResidentMemory::resident_prefix(RemoteAddr addr, std::size_t size) const {
  const std::uint64_t end = addr.value + size;
  if (size == 0 || end < addr.value) return 0;
  const std::uint64_t page_bytes = procfs::page_size();
  for (std::uint64_t page = addr.value / page_bytes; page * page_bytes < end; ++page) {
    if (is_resident(page)) continue;
    const std::uint64_t begin = page * page_bytes;
    return begin <= addr.value ? 0 : static_cast<std::size_t>(begin - addr.value);
  }
  return size;
}

std::size_t ResidentMemory::read_some(RemoteAddr addr, std::span<std::byte> out) const {
  known_ = 0;
  return memory_->read_some(addr, out.first(resident_prefix(addr, out.size())));
}

void ResidentMemory::read_many(std::span<ReadRequest> requests) const {
  known_ = 0;
  wanted_.clear();
  for (ReadRequest& request : requests) {
    request.done = 0;
    if (const std::size_t size = resident_prefix(request.addr, request.out.size()); size > 0)
      wanted_.push_back({request.addr, request.out.first(size)});
  }
  memory_->read_many(wanted_);
  auto read = wanted_.begin();
  for (ReadRequest& request : requests) {
    if (read == wanted_.end()) break;
    if (read->addr != request.addr || read->out.data() != request.out.data()) continue;
    request.done = read->done;
    ++read;
  }
}

}  // namespace memspy::attach

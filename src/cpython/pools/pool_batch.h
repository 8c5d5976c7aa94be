// Headers of pools, read many in one call.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpython/pools/pool_header.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

class PoolBatch {
 public:
  explicit PoolBatch(const Layout& layout)
      : layout_(layout), headers_(kHeaders * layout.size(Struct::kPool)) {}

  // True: it is full, and to be flushed.
  bool add(RemoteAddr pool) {
    const std::size_t head = layout_.size(Struct::kPool);
    requests_.push_back({pool, std::span(headers_).subspan(requests_.size() * head, head)});
    return requests_.size() == kHeaders;
  }
  // visit(pool, header) for each that is in use; returns how many could not be read.
  template <typename Visit>
  std::uint64_t flush(const MemoryReader& memory, const Visit& visit) {
    std::uint64_t unread = 0;
    if (!requests_.empty()) memory.read_many(requests_);
    for (const ReadRequest& request : requests_) {
      if (!request.complete()) {
        ++unread;
      } else if (const auto header = decode_pool(layout_, request.addr, request.out)) {
        visit(request.addr, *header);
      }
    }
    requests_.clear();
    return unread;
  }

 private:
  static constexpr std::size_t kHeaders = 1024;  // IOV_MAX: one system call
  const Layout& layout_;
  std::vector<std::byte> headers_;
  std::vector<ReadRequest> requests_;
};

}  // namespace memspy::cpython

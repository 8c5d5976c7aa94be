#include "attach/process_vm.h"

#include <limits.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace memspy::attach {
namespace {

// Enough for any one stop; more go in a second call.
constexpr std::size_t kBatch = 256;

iovec local_piece(std::span<std::byte> out) { return {out.data(), out.size()}; }
iovec remote_piece(RemoteAddr addr, std::size_t size) {
  return {reinterpret_cast<void*>(addr.value),
          size};  // NOLINT(performance-no-int-to-ptr): an address of the target
}

// Credits `got` bytes to the requests in order; returns how many requests were completed.
std::size_t distribute(std::span<ReadRequest> requests, std::size_t got) {
  std::size_t completed = 0;
  for (auto& request : requests) {
    request.done = std::min(got, request.out.size());
    got -= request.done;
    if (!request.complete()) break;
    ++completed;
  }
  return completed;
}

}  // namespace

std::size_t ProcessVm::read_some(RemoteAddr addr, std::span<std::byte> out) const {
  if (out.empty()) return 0;
  const iovec local = local_piece(out);
  const iovec remote = remote_piece(addr, out.size());
  const ssize_t got = ::process_vm_readv(pid_.value, &local, 1, &remote, 1, 0);
  if (got >= 0) return static_cast<std::size_t>(got);
  last_errno_.store(errno, std::memory_order_relaxed);
  return 0;
}

void ProcessVm::read_many(std::span<ReadRequest> requests) const {
  std::array<iovec, kBatch> local;
  std::array<iovec, kBatch> remote;
  while (!requests.empty()) {
    const std::size_t count = std::min(requests.size(), kBatch);
    for (std::size_t i = 0; i < count; ++i) {
      local[i] = local_piece(requests[i].out);
      remote[i] = remote_piece(requests[i].addr, requests[i].out.size());
      requests[i].done = 0;
    }
    const ssize_t got =
        ::process_vm_readv(pid_.value, local.data(), count, remote.data(), count, 0);
    if (got < 0) last_errno_.store(errno, std::memory_order_relaxed);
    const auto batch = requests.first(count);
    const std::size_t completed = distribute(batch, got > 0 ? static_cast<std::size_t>(got) : 0);
    // The kernel stops at the first unreadable piece: go on behind it.
    requests = requests.subspan(completed < count ? completed + 1 : count);
  }
}

}  // namespace memspy::attach

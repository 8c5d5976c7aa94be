// Many ranges of a process' memory, copied one behind the other as fast as the host can: large
// vectored reads, on more than one processor.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "attach/image_plan.h"
#include "base/unique_fd.h"
#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::attach {

class BulkCopy {
 public:
  // `to` has room for all of `ranges`.
  BulkCopy(Pid pid, const std::vector<CopyRange>& ranges, std::byte* to);

  // Copies all. `between` is called on this thread after every few MiB with what is done so far,
  // and ends the copy by returning false. True: everything was copied. kTargetGone, kPermission.
  Result<bool> run(const std::function<bool(std::uint64_t)>& between);

  // Bytes that could not be read although their pages were there; zeros stand for them.
  std::uint64_t unreadable_bytes() const { return unreadable_.load(); }

 private:
  struct Piece {
    std::size_t first = 0, count = 0;  // of remote_
    std::uint64_t offset = 0, size = 0;
    bool shared = false;  // to be read without pinning: see CopyRange
  };
  void work(const std::function<bool(std::uint64_t)>* between);
  void copy(const Piece& piece);
  ssize_t read(const Piece& piece, std::uint64_t done) const;
  std::size_t skip_page(const Piece& piece, std::uint64_t done);

  Pid pid_;
  UniqueFd memory_;  // /proc/PID/mem, when there are shared pieces
  std::byte* to_;
  std::vector<iovec> remote_;
  std::vector<Piece> pieces_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::uint64_t> unreadable_{0};
  std::atomic<bool> ended_{false};
  std::atomic<int> error_{0};
};

}  // namespace memspy::attach

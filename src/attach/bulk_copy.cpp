#include "attach/bulk_copy.h"

#include <fcntl.h>
#include <limits.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>

#include "procfs/pagemap.h"

namespace memspy::attach {
namespace {

// Larger ones were not faster, and a piece is what is done between two looks at the clock.
constexpr std::uint64_t kPieceBytes = std::uint64_t{4} << 20;
// A second thread costs its start (0.1 ms).
constexpr std::uint64_t kBytesWorthAThread = std::uint64_t{16} << 20;
constexpr unsigned kMaxCopyThreads = 4;  // memory is the limit behind that

// The rest of `pieces` from byte `done` on.
std::vector<iovec> rest_of(std::span<const iovec> pieces, std::uint64_t done) {
  std::vector<iovec> rest;
  for (const iovec& piece : pieces) {
    if (done >= piece.iov_len) {
      done -= piece.iov_len;
      continue;
    }
    rest.push_back({static_cast<char*>(piece.iov_base) + done, piece.iov_len - done});
    done = 0;
  }
  return rest;
}

}  // namespace

BulkCopy::BulkCopy(Pid pid, const std::vector<CopyRange>& ranges, std::byte* to)
    : pid_(pid), to_(to) {
  Piece piece;
  const auto finish = [&] {
    if (piece.count == 0) return;
    pieces_.push_back(piece);
    piece = {remote_.size(), 0, piece.offset + piece.size, 0, piece.shared};
  };
  for (CopyRange range : ranges) {
    if (range.shared != piece.shared) finish();
    piece.shared = range.shared;
    if (range.shared && !memory_.valid()) {
      const std::string path = "/proc/" + std::to_string(pid_.value) + "/mem";
      memory_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    }
    while (range.size() > 0) {
      const std::uint64_t part = std::min(range.size(), kPieceBytes - piece.size);
      // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the target
      remote_.push_back({reinterpret_cast<void*>(range.start.value), part});
      ++piece.count;
      piece.size += part;
      range.start = range.start + part;
      if (piece.size == kPieceBytes || piece.count == IOV_MAX) finish();
    }
  }
  finish();
}

Result<bool> BulkCopy::run(const std::function<bool(std::uint64_t)>& between) {
  const std::uint64_t total = pieces_.empty() ? 0 : pieces_.back().offset + pieces_.back().size;
  const std::uint64_t useful =
      std::min<std::uint64_t>({1 + total / kBytesWorthAThread,
                               std::max(1U, std::thread::hardware_concurrency()), kMaxCopyThreads});
  std::vector<std::thread> helpers;
  for (std::uint64_t i = 1; i < useful; ++i) helpers.emplace_back([this] { work(nullptr); });
  work(&between);
  for (auto& helper : helpers) helper.join();
  if (const int err = error_.load(); err != 0) {
    return make_error(err == ESRCH ? Errc::kTargetGone : Errc::kPermission,
                      "cannot copy the memory of process " + std::to_string(pid_.value), err);
  }
  return done_.load() == total;
}

void BulkCopy::work(const std::function<bool(std::uint64_t)>* between) {
  while (!ended_.load(std::memory_order_relaxed)) {
    const std::size_t index = next_.fetch_add(1);
    if (index >= pieces_.size()) return;
    copy(pieces_[index]);
    const std::uint64_t done = done_.fetch_add(pieces_[index].size) + pieces_[index].size;
    if (between != nullptr && !(*between)(done)) ended_ = true;
  }
}

// What of the piece is read in one call from byte `done` on. A read through /proc/PID/mem does not
// pin; where that file cannot be opened, pinning is what is left.
ssize_t BulkCopy::read(const Piece& piece, std::uint64_t done) const {
  const auto all = std::span(remote_).subspan(piece.first, piece.count);
  std::vector<iovec> rest;
  if (done > 0 || (piece.shared && memory_.valid())) rest = rest_of(all, done);
  std::byte* const to = to_ + piece.offset + done;
  if (piece.shared && memory_.valid()) {
    const auto from = reinterpret_cast<std::uintptr_t>(rest.front().iov_base);
    const ssize_t got = ::pread(memory_.get(), to, rest.front().iov_len, static_cast<off_t>(from));
    if (got < 0 && errno == EIO) errno = EFAULT;  // the same, said by a file
    if (got == 0) errno = ESRCH;                  // the memory is gone, and its process
    return got == 0 ? -1 : got;
  }
  const iovec local{to, piece.size - done};
  const auto from = done > 0 ? std::span<const iovec>(rest) : std::span<const iovec>(all);
  return ::process_vm_readv(pid_.value, &local, 1, from.data(), from.size(), 0);
}

void BulkCopy::copy(const Piece& piece) {
  std::uint64_t done = 0;
  while (done < piece.size) {
    const ssize_t got = read(piece, done);
    if (got > 0) {
      done += static_cast<std::uint64_t>(got);
      continue;
    }
    if (got < 0 && errno != EFAULT) {
      error_ = errno;
      ended_ = true;
      return;
    }
    done += skip_page(piece, done);
  }
}

// Zeros for what is left of the page at `done`; the reads go on behind it.
std::size_t BulkCopy::skip_page(const Piece& piece, std::uint64_t done) {
  const std::uint64_t part = std::min(procfs::page_size(), piece.size - done);
  std::memset(to_ + piece.offset + done, 0, part);
  unreadable_ += part;
  return part;
}

}  // namespace memspy::attach

#include "procfs/pagemap.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <spdlog/fmt/fmt.h>

namespace memspy::procfs {
namespace {

// As <linux/fs.h> of Linux 6.7 has them: headers of older distributions do not.
struct ScanRegion {
  std::uint64_t start, end, categories;
};
struct ScanArguments {
  std::uint64_t size = sizeof(ScanArguments);
  std::uint64_t flags = 0;
  std::uint64_t start = 0, end = 0;
  std::uint64_t walk_end = 0;  // set by the kernel: where it stopped
  std::uint64_t regions = 0, region_count = 0;
  std::uint64_t max_pages = 0;
  std::uint64_t category_inverted = 0;
  std::uint64_t category_mask = 0;
  std::uint64_t category_anyof_mask = 0;
  std::uint64_t return_mask = 0;
};
static_assert(sizeof(ScanArguments) == 96);
const unsigned long kPagemapScan = _IOWR('f', 16, ScanArguments);

Error failed(std::string_view what, int err) {
  const bool denied = err == EACCES || err == EPERM;
  const bool gone = err == ESRCH;
  return make_error(denied ? Errc::kPermission
                    : gone ? Errc::kNoSuchProcess
                           : Errc::kUnreadable,
                    std::string(what), err);
}

// Neighbours come in several pieces when a scan continues.
void append(std::vector<PageRange>& ranges, const ScanRegion& region) {
  if (!ranges.empty() && ranges.back().end.value == region.start &&
      ranges.back().categories == region.categories) {
    ranges.back().end.value = region.end;
  } else {
    ranges.push_back({RemoteAddr{region.start}, RemoteAddr{region.end}, region.categories});
  }
}

}  // namespace

std::uint64_t page_size() {
  static const auto kSize = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return kSize;
}

Result<Pagemap> Pagemap::open(const ProcDir& proc, Pid pid) {
  const std::string path = proc.path(pid, "pagemap");
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    const int err = errno;
    if ((err == ENOENT || err == ESRCH) && !proc.exists(pid)) {
      return make_error(Errc::kNoSuchProcess, fmt::format("no process {}", pid.value), err);
    }
    return failed("cannot open " + path, err);
  }
  return Pagemap(std::move(fd));
}

Result<std::size_t> Pagemap::read(RemoteAddr page, std::span<std::uint64_t> entries) const {
  const std::uint64_t first = page.value / page_size();
  std::size_t done = 0;  // bytes
  while (done < entries.size_bytes()) {
    const auto at = static_cast<off_t>(first * sizeof(std::uint64_t) + done);
    auto* to = reinterpret_cast<char*>(entries.data()) + done;
    const ssize_t got = ::pread(fd_.get(), to, entries.size_bytes() - done, at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("cannot read pagemap", errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done / sizeof(std::uint64_t);
}

Result<std::vector<PageRange>> Pagemap::scan(RemoteAddr start, RemoteAddr end, std::uint64_t wanted,
                                             std::uint64_t told, std::uint64_t any_of) const {
  std::array<ScanRegion, 512> regions;
  std::vector<PageRange> ranges;
  const std::uint64_t mask = page_size() - 1;
  ScanArguments arguments;
  arguments.start = start.value & ~mask;
  arguments.end = (end.value + mask) & ~mask;
  arguments.regions = reinterpret_cast<std::uintptr_t>(regions.data());
  arguments.region_count = regions.size();
  arguments.category_mask = wanted;
  arguments.category_anyof_mask = any_of;
  arguments.return_mask = told;
  while (arguments.start < arguments.end) {
    const int count = ::ioctl(fd_.get(), kPagemapScan, &arguments);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int err = errno;
      if (err != ENOTTY && err != EINVAL) return failed("PAGEMAP_SCAN", err);
      return make_error(Errc::kUnsupported, "this kernel has no PAGEMAP_SCAN (Linux 6.7)", err);
    }
    for (int i = 0; i < count; ++i) append(ranges, regions[static_cast<std::size_t>(i)]);
    if (arguments.walk_end <= arguments.start) break;  // the kernel got no further
    arguments.start = arguments.walk_end;
  }
  return ranges;
}

Result<bool> Pagemap::is_huge(RemoteAddr address) const {
  MEMSPY_TRY(ranges, scan(address, address + 1, kPageIsHuge, kPageIsHuge));
  return !ranges.empty();
}

}  // namespace memspy::procfs

#include "attach/copy_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/parallel.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace memspy::attach {
namespace {

constexpr std::uint64_t kHugePage = std::uint64_t{2} << 20;
// How much a target may grow between the estimate and the stop without costing time in the stop…
constexpr std::uint64_t kSpareShare = 32;  // a 32nd
constexpr std::uint64_t kSpare = std::uint64_t{4} << 20;
// …and at all.
constexpr std::uint64_t kGrowth = std::uint64_t{256} << 20;
// Memory that is left to the host whatever happens.
constexpr std::uint64_t kHostReserve = std::uint64_t{64} << 20;
constexpr std::uint64_t kHugePagesWorthAThread = 8;  // huge pages to be cleared

std::uint64_t round_up(std::uint64_t bytes) { return (bytes + kHugePage - 1) & ~(kHugePage - 1); }

std::optional<std::uint64_t> memory_available(const procfs::ProcDir& proc) {
  const auto text = proc.setting("meminfo");
  if (!text) return std::nullopt;
  const auto at = text->find("MemAvailable:");
  if (at == std::string::npos) return std::nullopt;
  return std::strtoull(text->c_str() + at + 13, nullptr, 10) * 1024;
}

// What the limit of memspy's own control group leaves: a tool that was started inside of a full
// container must not be what brings the OOM killer to it.
std::uint64_t own_group_room(const procfs::ProcDir& proc) {
  const auto group = proc.cgroup_memory(Pid{::getpid()});
  if (!group.has_value() || !group->limit_bytes) return UINT64_MAX;
  const std::uint64_t usage = group->usage_bytes.value_or(0);
  const std::uint64_t taken = usage - std::min(usage, group->droppable_bytes.value_or(0));
  return *group->limit_bytes - std::min(*group->limit_bytes, taken);
}

Result<UniqueFd> unnamed_file(const std::string& folder) {
  UniqueFd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd.valid()) return fd;
  // Some file systems cannot make a file without a name.
  std::string name = folder + "/memspy-spool-XXXXXX";
  fd.reset(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd.valid()) {
    const int err = errno;
    return make_error(Errc::kOutput, "cannot make a file in " + folder, err);
  }
  ::unlink(name.c_str());
  return fd;
}

// Aligned, so that it can be made of huge pages: the copy is then both made and walked faster.
std::byte* map_memory(std::uint64_t bytes, int fd) {
  const std::uint64_t whole = bytes + kHugePage;
  void* area =
      ::mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED) return nullptr;
  auto* base = static_cast<std::byte*>(area);
  const auto lead =
      round_up(reinterpret_cast<std::uintptr_t>(base)) - reinterpret_cast<std::uintptr_t>(base);
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
  auto* start = base + lead;
  void* data = ::mmap(start, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
  if (data == MAP_FAILED) {
    ::munmap(area, whole);
    return nullptr;
  }
  if (lead > 0) ::munmap(base, lead);
  if (lead < kHugePage) ::munmap(start + bytes, kHugePage - lead);
  if (fd < 0) ::madvise(data, bytes, MADV_HUGEPAGE);
  return static_cast<std::byte*>(data);
}

// The kernel clears each page first, which takes as long as the copy itself: shared by threads,
// huge page by huge page. Before Linux 5.14 (EINVAL) pages come as they are written to.
bool populate(std::byte* start, std::uint64_t bytes) {
  std::atomic<bool> done = true;
  const std::uint64_t pages = bytes / kHugePage;
  const unsigned workers = workers_for(pages * kWorthAWorker / kHugePagesWorthAThread);
  in_parallel(workers, [&](unsigned worker) {
    const std::uint64_t begin = share_begin(pages, worker, workers) * kHugePage;
    const std::uint64_t end = share_begin(pages, worker + 1, workers) * kHugePage;
    if (end == begin || ::madvise(start + begin, end - begin, MADV_POPULATE_WRITE) == 0) return;
    if (errno != EINVAL) done = false;
  });
  return done;
}

Error does_not_fit(std::uint64_t bytes, std::uint64_t available, const std::string& spool) {
  Error error = make_error(
      Errc::kOutput,
      fmt::format("the copy needs {}, and {} has {} left", format_bytes(bytes),
                  spool.empty() ? "this host or container" : spool, format_bytes(available)));
  error.hint = spool.empty() ? "put it on a disk: --spool DIR" : "choose a folder with more room";
  return error;
}

}  // namespace

Result<std::uint64_t> CopyStore::available(const procfs::ProcDir& proc, const std::string& spool) {
  if (spool.empty()) {
    const auto memory = memory_available(proc);
    if (!memory)
      return make_error(Errc::kOutput, "cannot read how much memory is available (meminfo)");
    const std::uint64_t room = std::min(*memory, own_group_room(proc));
    return room > kHostReserve ? room - kHostReserve : 0;
  }
  struct statvfs disk {};
  if (::statvfs(spool.c_str(), &disk) != 0) {
    const int err = errno;
    Error error = make_error(Errc::kOutput, "cannot use the folder " + spool, err);
    error.hint = "name a folder on a disk with room: --spool DIR";
    return error;
  }
  return std::uint64_t{disk.f_bavail} * disk.f_frsize;
}

Result<CopyStore> CopyStore::make(const procfs::ProcDir& proc, std::uint64_t bytes,
                                  const std::string& spool) {
  MEMSPY_TRY(room, available(proc, spool));
  if (bytes > room) return does_not_fit(bytes, room, spool);
  UniqueFd file;
  const std::uint64_t size = round_up(bytes + bytes / 2 + kGrowth);
  if (!spool.empty()) {
    MEMSPY_TRY(made, unnamed_file(spool));
    file = std::move(made);
    if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
      const int err = errno;
      return make_error(Errc::kOutput, "cannot enlarge the file in " + spool, err);
    }
  }
  std::byte* data = map_memory(size, file.valid() ? file.get() : -1);
  if (data == nullptr) {
    const int err = errno;
    return make_error(Errc::kOutput, fmt::format("cannot map {}", format_bytes(size)), err);
  }
  CopyStore store(data, size, std::move(file));
  const std::uint64_t spare = std::min(bytes / kSpareShare + kSpare, room - bytes);
  if (!store.reserve(bytes + spare) && !store.reserve(bytes))
    return does_not_fit(bytes, room, spool);
  return store;
}

CopyStore::CopyStore(CopyStore&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      backed_(other.backed_),
      file_(std::move(other.file_)) {}

CopyStore::~CopyStore() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

bool CopyStore::reserve(std::uint64_t bytes) {
  bytes = round_up(bytes);
  if (bytes <= backed_) return true;
  if (bytes > size_) return false;
  // A hole of the file that finds the disk full when it is written to would be a SIGBUS.
  if (file_.valid() && ::posix_fallocate(file_.get(), static_cast<off_t>(backed_),
                                         static_cast<off_t>(bytes - backed_)) != 0) {
    return false;
  }
  if (!populate(data_ + backed_, bytes - backed_)) return false;
  backed_ = bytes;
  return true;
}

void CopyStore::trim(std::uint64_t bytes) {
  bytes = round_up(std::max<std::uint64_t>(bytes, 1));
  if (bytes >= size_) return;
  ::munmap(data_ + bytes, size_ - bytes);
  size_ = bytes;
  backed_ = std::min(backed_, bytes);
  if (file_.valid()) static_cast<void>(!::ftruncate(file_.get(), static_cast<off_t>(bytes)));
}

}  // namespace memspy::attach

#include "attach/file_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <spdlog/fmt/fmt.h>

#include "attach/image_plan.h"

namespace memspy::attach {
namespace {

constexpr std::size_t kBlockPages = 64;
constexpr std::uint64_t kMaxLoadedBytes = std::uint64_t{1} << 30;  // in memspy, of all files
constexpr std::uint64_t kMaxAreaBytes = std::uint64_t{64} << 30;   // of one mapping
constexpr std::size_t kMaxOpenFiles = 512;

bool regular(const char* path, std::uint64_t inode) {
  struct stat info {};
  return ::stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_ino == inode;
}

// The device is not compared: some file systems (btrfs) show another one in maps than in stat.
UniqueFd open_file(const procfs::ProcDir& proc, Pid pid, const Mapping& mapping) {
  const std::string ways[] = {
      // The very file, also a deleted one; needs CAP_CHECKPOINT_RESTORE.
      proc.path(pid, fmt::format("map_files/{:x}-{:x}", mapping.start.value, mapping.end.value)),
      mapping.deleted ? "" : proc.path(pid, "root") + mapping.path,
  };
  for (const std::string& path : ways) {
    if (path.empty() || !regular(path.c_str(), mapping.inode)) continue;
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.valid()) return fd;
  }
  return UniqueFd();
}

}  // namespace

// The pages of one mapping that have been read so far, at their place in the mapping.
struct FilePages::Area {
  enum State : std::uint8_t { kUnknown, kThere, kMissing };
  Mapping mapping;
  int fd = -1;
  std::byte* data = nullptr;
  std::vector<std::uint8_t> pages;  // State

  // A core file may claim any size, and a start in the middle of a page.
  Area(const Mapping& m, int file) : mapping(m), fd(file) {
    if (m.size() > kMaxAreaBytes) return;
    pages.resize((m.size() + procfs::page_size() - 1) / procfs::page_size());
    void* area = ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area != MAP_FAILED) data = static_cast<std::byte*>(area);
  }
  std::uint64_t bytes() const { return pages.size() * procfs::page_size(); }
  Area(const Area&) = delete;
  Area& operator=(const Area&) = delete;
  ~Area() {
    if (data != nullptr) ::munmap(data, bytes());
  }
};

FilePages::FilePages(const procfs::ProcDir& proc, Pid pid, const MemoryMap& map,
                     procfs::Pagemap pagemap)
    : live_(new Live{ProcessVm(pid), std::move(pagemap)}) {
  open_files(map, [&](const Mapping& mapping) { return open_file(proc, pid, mapping); });
}

FilePages::FilePages(const MemoryMap& map, const Opener& open) { open_files(map, open); }

void FilePages::open_files(const MemoryMap& map, const Opener& open) {
  for (const Mapping& mapping : map) {
    if (mapping.anonymous() || !readable_memory(mapping) || files_.contains(key_of(mapping)))
      continue;
    UniqueFd fd;
    if (files_.size() < kMaxOpenFiles) fd = open(mapping);
    if (!fd.valid()) ++unreachable_;
    files_.emplace(key_of(mapping), std::move(fd));
  }
}

FilePages::~FilePages() = default;

FilePages::Area* FilePages::area_of(const Mapping& mapping) const {
  auto& area = areas_[mapping.start];
  if (!area) {
    const auto file = files_.find(key_of(mapping));
    area = std::make_unique<Area>(mapping, file == files_.end() ? -1 : file->second.get());
  }
  return area->data == nullptr ? nullptr : area.get();
}

std::span<const std::byte> FilePages::view(const Mapping& mapping, RemoteAddr addr) const {
  if (mapping.anonymous() || !readable_memory(mapping) || !mapping.contains(addr)) return {};
  const std::lock_guard lock(mutex_);
  Area* area = area_of(mapping);
  if (area == nullptr) return {};
  const std::uint64_t offset = addr.value - mapping.start.value;
  const std::size_t page = offset / procfs::page_size();
  if (area->pages[page] == Area::kUnknown) load(*area, page / kBlockPages);
  std::size_t end = page;
  while (end < area->pages.size() && area->pages[end] == Area::kThere) ++end;
  if (end == page) return {};
  return {area->data + offset, end * procfs::page_size() - offset};
}

void FilePages::load(Area& area, std::size_t block) const {
  const std::size_t first = block * kBlockPages;
  const std::size_t count = std::min(kBlockPages, area.pages.size() - first);
  const std::uint64_t bytes = count * procfs::page_size();
  if (loaded_bytes_ + bytes > kMaxLoadedBytes) return;
  loaded_bytes_ += bytes;
  std::fill_n(area.pages.begin() + static_cast<std::ptrdiff_t>(first), count, Area::kMissing);
  if (area.fd >= 0)
    load_from_file(area, first, count);
  else if (live_)
    load_from_process(area, first, count);
}

void FilePages::load_from_file(Area& area, std::size_t first, std::size_t count) const {
  const std::uint64_t bytes = count * procfs::page_size();
  const std::uint64_t at = area.mapping.offset + first * procfs::page_size();
  std::byte* to = area.data + first * procfs::page_size();
  std::uint64_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::pread(area.fd, to + done, bytes - done, static_cast<off_t>(at + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<std::uint64_t>(got);
  }
  // Behind the end of the file its last page has zeros, and further pages are not there.
  const std::uint64_t good = (done + procfs::page_size() - 1) / procfs::page_size();
  std::fill_n(area.pages.begin() + static_cast<std::ptrdiff_t>(first), good, Area::kThere);
}

// Its pages, where they are resident: then the read changes nothing in the process.
void FilePages::load_from_process(Area& area, std::size_t first, std::size_t count) const {
  const RemoteAddr start = area.mapping.start + first * procfs::page_size();
  std::vector<std::uint64_t> entries(count);
  const std::size_t known = live_->pagemap.read(start, entries).value_or(0);
  for (std::size_t i = 0; i < known; ++i) {
    if (!procfs::page_present(entries[i])) continue;
    const std::uint64_t offset = (first + i) * procfs::page_size();
    const std::span to(area.data + offset, procfs::page_size());
    if (live_->memory.read_some(area.mapping.start + offset, to) == to.size())
      area.pages[first + i] = Area::kThere;
  }
}

}  // namespace memspy::attach

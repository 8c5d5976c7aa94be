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
constexpr std::size_t kMaxFiles = 512;

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

  Area(const Mapping& m, int file) : mapping(m), fd(file), pages(m.size() / procfs::page_size()) {
    void* area = ::mmap(nullptr, m.size(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area != MAP_FAILED) data = static_cast<std::byte*>(area);
  }
  Area(const Area&) = delete;
  Area& operator=(const Area&) = delete;
  ~Area() {
    if (data != nullptr) ::munmap(data, mapping.size());
  }
};

FilePages::FilePages(const procfs::ProcDir& proc, Pid pid, const MemoryMap& map,
                     procfs::Pagemap pagemap)
    : process_(pid), pagemap_(std::move(pagemap)) {
  for (const Mapping& mapping : map) {
    const std::pair key{mapping.device, mapping.inode};
    if (mapping.inode == 0 || !readable_memory(mapping) || files_.contains(key)) continue;
    UniqueFd fd;
    if (files_.size() < kMaxFiles) fd = open_file(proc, pid, mapping);
    if (!fd.valid()) ++unreachable_;
    files_.emplace(key, std::move(fd));
  }
}

FilePages::~FilePages() = default;

FilePages::Area* FilePages::area_of(const Mapping& mapping) const {
  auto& area = areas_[mapping.start];
  if (!area) {
    const auto file = files_.find({mapping.device, mapping.inode});
    area = std::make_unique<Area>(mapping, file == files_.end() ? -1 : file->second.get());
  }
  return area->data == nullptr ? nullptr : area.get();
}

std::span<const std::byte> FilePages::view(const Mapping& mapping, RemoteAddr addr) const {
  if (mapping.inode == 0 || !readable_memory(mapping) || !mapping.contains(addr)) return {};
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
  std::size_t good = 0;
  if (area.fd >= 0) {
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
    good = (done + procfs::page_size() - 1) / procfs::page_size();
    for (std::size_t i = 0; i < count; ++i)
      area.pages[first + i] = i < good ? Area::kThere : Area::kMissing;
    return;
  }
  load_from_process(area, first, count);
}

// Its pages, where they are resident: then the read changes nothing in the process.
std::size_t FilePages::load_from_process(Area& area, std::size_t first, std::size_t count) const {
  const RemoteAddr start = area.mapping.start + first * procfs::page_size();
  std::vector<std::uint64_t> entries(count);
  const std::size_t known = pagemap_.read(start, entries).value_or(0);
  std::size_t good = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t page = first + i;
    area.pages[page] = Area::kMissing;
    if (i >= known || !procfs::page_present(entries[i])) continue;
    const std::span to(area.data + page * procfs::page_size(), procfs::page_size());
    const RemoteAddr from = area.mapping.start + page * procfs::page_size();
    if (process_.read_some(from, to) != to.size()) continue;
    area.pages[page] = Area::kThere;
    ++good;
  }
  return good;
}

}  // namespace memspy::attach

// Which file a descriptor is of, and in what state: what was learnt of it holds as long as this
// stays the same.
#pragma once

#include <sys/stat.h>

#include <compare>
#include <cstdint>
#include <optional>

namespace memspy::symbolize {

struct FileKey {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = 0;
  std::int64_t modified_seconds = 0, modified_nanos = 0, changed_seconds = 0, changed_nanos = 0;
  auto operator<=>(const FileKey&) const = default;

  static std::optional<FileKey> of(int fd) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return std::nullopt;
    return FileKey{info.st_dev,         info.st_ino,          info.st_size,
                   info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
                   info.st_ctim.tv_nsec};
  }
};

}  // namespace memspy::symbolize

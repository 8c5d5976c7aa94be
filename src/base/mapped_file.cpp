#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace memspy {

Result<MappedFile> MappedFile::open(const std::string& path) {
  // Not blocking: a FIFO would wait for its writer.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) {
    const int err = errno;
    return make_error(err == ENOENT ? Errc::kUsage : Errc::kUnreadable, "cannot open " + path, err);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    const int err = errno;
    return make_error(Errc::kUnreadable, "cannot read " + path, err);
  }
  if (!S_ISREG(info.st_mode)) return make_error(Errc::kUsage, path + " is not a file");
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return MappedFile({});
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) {
    const int err = errno;
    return make_error(Errc::kUnreadable, "cannot map " + path, err);
  }
  return MappedFile({static_cast<const std::byte*>(data), size});
}

MappedFile::~MappedFile() {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): munmap's signature
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace memspy

#include "symbolize/mapped_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <spdlog/fmt/fmt.h>

namespace memspy::symbolize {
namespace {

// Only regular files: opening a device that is mapped could have effects.
Result<OpenedFile> open_regular(const std::string& path) {
  struct stat info {};
  const auto failed = [&](int err) {
    return make_error(err == EACCES || err == EPERM ? Errc::kPermission : Errc::kUnreadable,
                      "cannot open " + path, err);
  };
  if (::stat(path.c_str(), &info) != 0) return failed(errno);
  if (!S_ISREG(info.st_mode))
    return make_error(Errc::kUnsupported, path + " is not a regular file");
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd.valid()) return failed(errno);
  return OpenedFile{std::move(fd), path};
}

// Loaders map the beginning of a file unchanged: ELF header, program headers and the build id.
bool same_content(int fd, const Mapping& mapping, const MemoryReader& memory) {
  std::array<std::byte, 4096> here;
  std::array<std::byte, 4096> there;
  const ssize_t got = ::pread(fd, here.data(), here.size(), static_cast<off_t>(mapping.offset));
  if (got <= 0) return false;
  const auto length = static_cast<std::size_t>(got);
  return !mapping.writable && read_exact(memory, mapping.start, std::span(there).first(length)) &&
         std::memcmp(here.data(), there.data(), length) == 0;
}

bool is_file_of(int fd, const Mapping& mapping, const MemoryReader& memory) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return false;
  if (info.st_dev == mapping.device && info.st_ino == mapping.inode) return true;
  return same_content(fd, mapping, memory);
}

}  // namespace

ExecutableTest::ExecutableTest(const procfs::ProcDir& proc, Pid pid) {
  struct stat info {};
  if (::stat(proc.path(pid, "exe").c_str(), &info) == 0) {
    device_ = info.st_dev;
    inode_ = info.st_ino;
  }
  constexpr std::string_view kDeleted = " (deleted)";
  path_ = proc.executable(pid).value_or("");
  if (path_.ends_with(kDeleted)) path_.resize(path_.size() - kDeleted.size());
}

bool ExecutableTest::operator()(const Mapping& mapping) const {
  return (inode_ != 0 && mapping.inode == inode_ && mapping.device == device_) ||
         (!path_.empty() && mapping.path == path_);
}

Result<OpenedFile> open_mapped_file(const procfs::ProcDir& proc, Pid pid, const Mapping& mapping,
                                    bool is_executable, const MemoryReader& memory) {
  auto opened = open_regular(fmt::format("{}/{:x}-{:x}", proc.path(pid, "map_files"),
                                         mapping.start.value, mapping.end.value));
  if (opened) return opened;
  Error error = std::move(opened).error();
  if (is_executable) {
    opened = open_regular(proc.path(pid, "exe"));
    if (opened) return opened;
    error.context.push_back(describe(opened.error()));
  }
  if (!mapping.path.starts_with('/')) return error;
  opened = open_regular(proc.path(pid, "root") + mapping.path);
  if (opened && is_file_of(opened->fd.get(), mapping, memory)) return opened;
  if (opened) {
    return make_error(Errc::kCorrupt, mapping.path + " was replaced since it was mapped");
  }
  return std::move(opened).error();
}

}  // namespace memspy::symbolize

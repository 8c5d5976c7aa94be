#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace memspy {

Result<std::string> read_file(const std::string& path, std::size_t cap) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) {
    const int err = errno;
    return make_error(err == EACCES || err == EPERM ? Errc::kPermission : Errc::kUnreadable,
                      "cannot open " + path, err);
  }
  std::string text;
  std::size_t chunk = 4096;
  while (text.size() < cap) {
    const std::size_t old = text.size();
    text.resize(std::min(cap, old + chunk));
    const ssize_t got = ::read(fd.get(), text.data() + old, text.size() - old);
    if (got < 0) {
      const int err = errno;
      if (err == EINTR) {
        text.resize(old);
        continue;
      }
      return make_error(err == EACCES || err == EPERM ? Errc::kPermission : Errc::kUnreadable,
                        "cannot read " + path, err);
    }
    text.resize(old + static_cast<std::size_t>(got));
    if (got == 0) break;
    chunk = std::min<std::size_t>(chunk * 2, 1U << 20);
  }
  return text;
}

}  // namespace memspy

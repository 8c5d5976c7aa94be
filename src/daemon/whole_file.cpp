#include "daemon/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/unique_fd.h"

namespace memspy::daemon {
namespace {

Error failed(const std::string& path, int error) {
  return make_error(Errc::kOutput, "cannot write " + path, error);
}

}  // namespace

Result<Unit> write_whole_file(const std::string& path, const std::string& text) {
  const std::string beside = path + ".new";
  const UniqueFd fd(
      ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return failed(path, errno);
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = ::write(fd.get(), text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(path, errno);
    written += static_cast<std::size_t>(count);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed(path, errno);
  return Unit{};
}

}  // namespace memspy::daemon

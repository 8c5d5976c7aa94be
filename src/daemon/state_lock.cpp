#include "daemon/state_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace memspy::daemon {

Result<UniqueFd> lock_state(const std::string& state_dir) {
  const std::string path = state_dir + "/lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) {
    const int error = errno;
    return make_error(Errc::kOutput, "cannot write to " + path, error);
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    constexpr std::size_t kLongestPid = 32;
    std::string pid = read_file(path, kLongestPid).value_or("");
    if (pid.ends_with('\n')) pid.pop_back();
    Error taken = make_error(
        Errc::kUsage, "another daemon, PID " + pid + ", keeps its recordings in " + state_dir);
    taken.hint = "memspy daemon stop ends it; a second one needs a state_dir of its own";
    return taken;
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  // Only to be told to others: the lock holds without it.
  if (::ftruncate(fd.get(), 0) != 0 || ::write(fd.get(), pid.data(), pid.size()) < 0) return fd;
  return fd;
}

}  // namespace memspy::daemon

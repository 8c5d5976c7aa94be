#include "daemon/secret_file.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"

namespace memspy::daemon {

Result<std::string> read_secret(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0)
    return make_error(Errc::kUsage, "others may read the secret " + path + ": chmod 600");
  MEMSPY_TRY(text, read_file(path, 4096));
  std::string line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.pop_back();
  const bool plain = std::none_of(line.begin(), line.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
  });
  if (line.empty() || !plain) return make_error(Errc::kUsage, "there is no secret in " + path);
  return line;
}

}  // namespace memspy::daemon

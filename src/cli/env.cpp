#include "cli/env.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

namespace memspy::cli {

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

std::string user_cache_folder() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): no other thread yet
    return value != nullptr && *value == '/' ? value : "";
  };
  const auto ours = [](const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && info.st_uid == ::geteuid();
  };
  if (const std::string folder = variable("XDG_CACHE_HOME"); !folder.empty())
    return ours(folder) ? folder + "/memspy" : "";
  const std::string home = variable("HOME");
  return !home.empty() && ours(home) ? home + "/.cache/memspy" : "";
}

bool is_program(const std::string& program) {
  if (program.find('/') != std::string::npos) return ::access(program.c_str(), X_OK) == 0;
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  std::string folders = path == nullptr ? "/usr/bin:/bin" : path;
  for (std::size_t at = 0; at <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', at), folders.size());
    if (::access((folders.substr(at, end - at) + "/" + program).c_str(), X_OK) == 0) return true;
    at = end + 1;
  }
  return false;
}

void say(Env& env, const std::string& text) {
  if (env.verbosity < 0) return;
  env.err << "memspy: " << text << '\n' << std::flush;
}

bool wants_colour(bool no_color_flag, bool terminal, const char* no_color, const char* force) {
  if (no_color_flag) return false;
  if (no_color != nullptr && *no_color != '\0') return false;
  if (force != nullptr && *force != '\0' && std::string_view(force) != "0") return true;
  return terminal;
}

}  // namespace memspy::cli

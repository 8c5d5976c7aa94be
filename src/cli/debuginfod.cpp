#include "cli/debuginfod.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include <spdlog/fmt/fmt.h>

#include "base/file.h"
#include "cli/hints.h"
#include "daemon/run_child.h"

namespace memspy::cli {
namespace {

constexpr const char* kClient = "debuginfod-find";
constexpr const char* kSystemServers = "/etc/debuginfod";
// Of one file; a distribution's largest are some gigabytes.
constexpr auto kPatience = std::chrono::minutes(10);

}  // namespace

std::string debuginfod_servers(const std::string& system_folder) {
  const char* given = std::getenv("DEBUGINFOD_URLS");  // NOLINT(concurrency-mt-unsafe)
  if (given != nullptr && *given != '\0') return given;
  std::string urls;
  std::error_code error;
  std::filesystem::directory_iterator entry(system_folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() != ".urls" || !entry->is_regular_file(error)) continue;
    if (const auto text = read_file(entry->path().string(), 1U << 16); text.has_value())
      urls += " " + *text;
  }
  // The client knows blanks only.
  std::replace_if(
      urls.begin(), urls.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  const auto begin = urls.find_first_not_of(' ');
  return begin == std::string::npos ? ""
                                    : urls.substr(begin, urls.find_last_not_of(' ') + 1 - begin);
}

namespace {

class Fetcher {
 public:
  Fetcher(Env& env, std::string urls) : env_(env), urls_(std::move(urls)) {}

  // Any thread: those that look up one file each open it.
  std::string fetch(const std::string& build_id) {
    const std::lock_guard lock(mutex_);
    const auto [at, unasked] = known_.try_emplace(build_id);
    if (unasked) at->second = ask(build_id);
    return at->second;
  }

 private:
  std::string ask(const std::string& build_id) {
    daemon::ChildOptions options;
    options.command = {kClient, "debuginfo", build_id};
    // The first of two of one name is what a program sees.
    options.extra_environment = {"DEBUGINFOD_URLS=" + urls_};
    std::string path;
    // Ctrl-C is for both; and it may take minutes.
    options.own_group = false;
    say(env_, "debuginfod: asking for debug information of build id " + build_id);
    const std::atomic<bool> never{false};
    const auto status = daemon::run_child(options, "", kPatience, never, &path);
    if (!status.has_value()) say(env_, "debuginfod: " + describe(status.error()));
    if (!status.has_value() || *status != 0) return "";
    path.erase(std::min(path.find('\n'), path.size()));
    say(env_, fmt::format("debuginfod: {} is debug information of build id {}", path, build_id));
    return path;
  }

  Env& env_;
  std::string urls_;
  std::mutex mutex_;
  std::map<std::string, std::string> known_;
};

}  // namespace

Result<std::function<std::string(const std::string& build_id)>> debuginfod_fetcher(Env& env) {
  const std::string urls = debuginfod_servers(kSystemServers);
  if (urls.empty())
    return usage_error("--debuginfod: no server is named",
                       "DEBUGINFOD_URLS is empty, and so is /etc/debuginfod",
                       "DEBUGINFOD_URLS=https://debuginfod.debian.net, or your distribution's");
  if (!is_program(kClient))
    return usage_error("--debuginfod: there is no debuginfod-find", "it is not in PATH",
                       "install debuginfod (Debian, Ubuntu) or elfutils-debuginfod-client");
  auto fetcher = std::make_shared<Fetcher>(env, urls);
  return std::function<std::string(const std::string&)>(
      [fetcher](const std::string& build_id) { return fetcher->fetch(build_id); });
}

}  // namespace memspy::cli

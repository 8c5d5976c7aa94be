#include "daemon/push.h"

#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include <spdlog/fmt/fmt.h>

#include "base/base64.h"
#include "base/file.h"
#include "daemon/json.h"
#include "daemon/outbox.h"
#include "daemon/whole_file.h"
#include "sinks/sink_registry.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr auto kBetweenWindows = 200ms;  // of those that an endpoint has missed
constexpr auto kSettle = 3s;             // until the last tick of a window is on disk
constexpr auto kPushPostTime = 5s;
constexpr std::size_t kLargestBody = 16U << 20;
constexpr std::size_t kMostKnown = 4096;

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// What would end a label, or a list of them, in a name of Pyroscope's.
std::string label_value(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' ||
        std::string_view("{}=,\"").find(c) != std::string::npos)
      c = '_';
  return text;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

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

long long seconds_of(nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

}  // namespace

std::string push_path(const HttpUrl& base, const PushConfig& config, const TargetFacts& target,
                      WallWindow window) {
  std::string name = target.service + "{";
  for (const auto& [label, value] : config.labels) name += label + "=" + label_value(value) + ",";
  name += fmt::format("host={},pid={},process={}}}", label_value(host_name()),
                      target.identity.pid.value, label_value(target.process));
  std::string path = base.path;
  while (path.ends_with('/')) path.pop_back();
  return fmt::format("{}/ingest?name={}&from={}&until={}&format=pprof&spyName=memspy", path,
                     percent_encoded(name), seconds_of(window.from), seconds_of(window.to));
}

Result<std::string> push_headers(const PushConfig& config) {
  std::string headers;
  if (!config.tenant.empty()) headers += "X-Scope-OrgID: " + config.tenant + "\r\n";
  if (!config.token_file.empty()) {
    MEMSPY_TRY(token, read_secret(config.token_file));
    headers += "Authorization: Bearer " + token + "\r\n";
  } else if (!config.password_file.empty()) {
    MEMSPY_TRY(password, read_secret(config.password_file));
    headers += "Authorization: Basic " + base64(config.user + ":" + password) + "\r\n";
  }
  return headers;
}

Pusher::Pusher(std::string state_dir, const StatusBoard& board, Log log)
    : state_dir_(std::move(state_dir)), board_(board), log_(std::move(log)) {
  if (const auto text = read_file(state_dir_ + "/pushed.json", 4096); text.has_value())
    until_ = nanoseconds(member<std::int64_t>(parse_json(*text), "until_ns").value_or(0));
  thread_ = std::thread([this] { run(); });
}

Pusher::~Pusher() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_all();
  thread_.join();
}

void Pusher::set_config(PushConfig config, nanoseconds keep) {
  {
    const std::lock_guard lock(mutex_);
    config_ = std::move(config);
    keep_ = keep;
  }
  news_.notify_all();
}

PushFigures Pusher::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

bool Pusher::ending() const {
  const std::lock_guard lock(mutex_);
  return ending_;
}

// Targets that have ended are pushed to their end.
void Pusher::note_targets(nanoseconds now, nanoseconds keep) {
  for (const TargetStatus& target : board_.latest()->targets)
    if (known_.size() < kMostKnown || known_.contains(target.facts->identity))
      known_[target.facts->identity] = {target.facts, now};
  std::erase_if(known_, [&](const auto& entry) { return now - entry.second.seen > keep + 1min; });
}

// What the recorder has no more cannot be sent; a clock that was set back would have us wait.
void Pusher::catch_up(nanoseconds now, const PushConfig& config, nanoseconds keep) {
  if (until_ == 0ns || until_ > now + config.interval) until_ = now;
  if (now - until_ <= keep + config.interval) return;
  log_(fmt::format("profiles of {} s could not be pushed, and are recorded no more",
                   seconds_of(now - keep - until_)));
  until_ = now - keep;
}

void Pusher::store() {
  const Json json = {{"until_ns", until_.count()}};
  (void)write_whole_file(state_dir_ + "/pushed.json", json_text(json) + "\n");
}

Result<Unit> Pusher::push_target(const PushConfig& config, const TargetFacts& target,
                                 WallWindow window) {
  const auto profile = load_growth(state_dir_, target.identity, window);
  if (!profile.has_value()) return profile.error();
  if (profile->totals().growth_bytes() == 0) return Unit{};
  std::ostringstream body;
  MEMSPY_CHECK(sinks::find_format("pprof")->write(*profile, {}, body));
  MEMSPY_TRY(url, parse_http_url(config.url));
  MEMSPY_TRY(headers, push_headers(config));
  HttpPost post{push_path(url, config, target, window), "application/octet-stream",
                std::move(headers), std::move(body).str()};
  const bool large = post.body.size() > kLargestBody;
  int status = 413;
  if (!large) {
    MEMSPY_TRY(answer, http_post(url, post, kPushPostTime));
    status = answer;
  }
  const bool taken = status >= 200 && status < 300;
  // Who pushes, and how fast, is a matter of configurations: those are mended. A profile is not.
  const bool for_good = status == 400 || status == 413 || status == 415 || status == 422;
  if (!taken && !for_good)
    return make_error(Errc::kOutput, fmt::format("the endpoint answers with status {}", status));
  const std::lock_guard lock(mutex_);
  figures_.profiles += taken ? 1 : 0;
  figures_.refused += taken ? 0 : 1;
  if (!taken && figures_.refused == 1)
    log_(fmt::format("the endpoint of [push] refuses a profile: status {}", status));
  return Unit{};
}

Pusher::Round Pusher::push_window(const PushConfig& config, nanoseconds keep) {
  const nanoseconds now = wall_clock_now();
  note_targets(now, keep);
  catch_up(now, config, keep);
  const WallWindow window{until_, until_ + config.interval};
  if (window.to + kSettle > now) return Round::kNothing;
  if (std::exchange(done_to_, window.to) != window.to) done_.clear();
  for (const auto& [identity, known] : known_) {
    const std::string& service = known.facts->service;
    if (done_.contains(identity) ||
        (!config.service.empty() && ::fnmatch(config.service.c_str(), service.c_str(), 0) != 0))
      continue;
    if (ending()) return Round::kFailed;
    if (const auto pushed = push_target(config, *known.facts, window); !pushed.has_value()) {
      const std::lock_guard lock(mutex_);
      std::string why = describe(pushed.error());
      if (figures_.trouble.empty()) log_("profiles are not pushed: " + why);
      figures_.trouble = std::move(why);
      figures_.behind = now - window.to;
      return Round::kFailed;
    }
    done_.insert(identity);
  }
  until_ = window.to;
  store();
  const std::lock_guard lock(mutex_);
  if (!figures_.trouble.empty()) log_("profiles are pushed again");
  figures_.trouble.clear();
  figures_.behind = now - window.to;
  return Round::kDone;
}

void Pusher::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (config_.url.empty()) {
      until_ = 0ns;  // the time in between is nobody's
      news_.wait(lock);
      continue;
    }
    const PushConfig config = config_;
    const nanoseconds keep = keep_;
    lock.unlock();
    const Round round = push_window(config, keep);
    lock.lock();
    failures_ = round == Round::kFailed ? failures_ + 1 : 0;
    // Targets that begin and end within a window are noted all the same.
    const nanoseconds pause = round == Round::kFailed ? delivery_pause(failures_)
                              : round == Round::kDone ? nanoseconds(kBetweenWindows)
                                                      : nanoseconds(1s);
    if (!ending_) news_.wait_for(lock, pause);
  }
}

}  // namespace memspy::daemon

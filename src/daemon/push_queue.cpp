#include "daemon/push_queue.h"

#include <fnmatch.h>

#include <algorithm>
#include <sstream>

#include <spdlog/fmt/fmt.h>

#include "base/file.h"
#include "daemon/push_request.h"
#include "daemon/whole_file.h"
#include "sinks/sink_registry.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr auto kSettle = 3s;  // until the last tick of a window is on disk
constexpr auto kPushPostTime = 5s;
constexpr std::size_t kLargestBody = 16U << 20;
constexpr std::size_t kMostKnown = 4096;
constexpr auto kStorePause = 1min;
constexpr std::size_t kLargestState = 4U << 20;

}  // namespace

PushPorts PushPorts::real() {
  PushPorts ports;
  ports.wall_now = wall_clock_now;
  ports.post = [](const HttpUrl& url, const HttpPost& post) {
    return http_post(url, post, kPushPostTime);
  };
  return ports;
}

PushQueue::PushQueue(std::string state_dir, const StatusBoard& board, PushPorts ports)
    : state_dir_(std::move(state_dir)), board_(board), ports_(std::move(ports)) {
  load();
}

PushFigures PushQueue::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

// --- what outlives the daemon ---

void PushQueue::load() {
  const auto text = read_file(state_dir_ + "/pushed.json", kLargestState);
  if (!text.has_value()) return;
  const Json json = parse_json(*text);
  until_ = nanoseconds(member<std::int64_t>(json, "until_ns").value_or(0));
  if (!json.is_object() || !json.contains("targets") || !json["targets"].is_array()) return;
  for (const Json& target : json["targets"]) load_target(target);
}

void PushQueue::load_target(const Json& json) {
  const auto pid = member<pid_t>(json, "pid");
  const auto start = member<std::uint64_t>(json, "start_ticks");
  if (!pid || !start || known_.size() >= kMostKnown) return;
  auto facts = std::make_shared<TargetFacts>();
  facts->identity = {Pid{*pid}, *start};
  facts->service = member<std::string>(json, "service").value_or("");
  facts->process = member<std::string>(json, "process").value_or("");
  known_[facts->identity] = {facts, nanoseconds(member<std::int64_t>(json, "seen_ns").value_or(0))};
}

void PushQueue::store() {
  stored_ = ports_.wall_now();
  Json targets = Json::array();
  for (const auto& [identity, known] : known_) {
    targets.push_back({{"pid", identity.pid.value},
                       {"start_ticks", identity.start_ticks},
                       {"service", known.facts->service},
                       {"process", known.facts->process},
                       {"seen_ns", known.seen.count()}});
  }
  const Json json = {{"until_ns", until_.count()}, {"targets", std::move(targets)}};
  (void)write_whole_file(state_dir_ + "/pushed.json", json_text(json) + "\n");
}

// --- the next window ---

// Targets that have ended are pushed to their end, by the next daemon if need be.
void PushQueue::note_targets(nanoseconds keep) {
  const nanoseconds now = ports_.wall_now();
  bool changed = false;
  for (const TargetStatus& target : board_.latest()->targets) {
    const bool known = known_.contains(target.facts->identity);
    if (!known && known_.size() >= kMostKnown) {
      if (!std::exchange(said_full_, true))
        ports_.log(fmt::format("[push] knows {} targets of the last {} s, and no more", kMostKnown,
                               std::chrono::duration_cast<std::chrono::seconds>(keep).count()));
      continue;
    }
    known_[target.facts->identity] = {target.facts, now};
    changed |= !known;
  }
  std::erase_if(known_, [&](const auto& entry) { return now - entry.second.seen > keep + 1min; });
  // Who was there a minute ago is still recorded for as long as that matters.
  if (changed || now - stored_ >= kStorePause || now < stored_) store();
}

void PushQueue::pass() {
  if (std::exchange(until_, nanoseconds(0)) != nanoseconds(0)) store();
}

// What the recorder has no more cannot be sent; a clock that was set back would have us wait.
void PushQueue::catch_up(nanoseconds now, const PushConfig& config, nanoseconds keep) {
  if (until_ == 0ns || until_ > now + config.interval) until_ = now;
  if (now - until_ <= keep + config.interval) return;
  ports_.log(
      fmt::format("profiles of {} s could not be pushed, and are recorded no more",
                  std::chrono::duration_cast<std::chrono::seconds>(now - keep - until_).count()));
  until_ = now - keep;
}

Result<Unit> PushQueue::push_target(const PushConfig& config, const TargetFacts& target,
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
  int status = 413;
  if (post.body.size() <= kLargestBody) {
    MEMSPY_TRY(answer, ports_.post(url, post));
    status = answer;
  }
  const bool taken = status >= 200 && status < 300;
  // Who pushes, and how fast, is a matter of configurations: those are mended. A profile is not.
  const bool for_good = status == 400 || status == 413 || status == 415 || status == 422;
  if (!taken && !for_good)
    return make_error(Errc::kOutput, fmt::format("the endpoint answers with status {}", status));
  note_answer(status, taken);
  return Unit{};
}

PushQueue::Round PushQueue::push_window(const PushConfig& config, nanoseconds keep) {
  const nanoseconds now = ports_.wall_now();
  catch_up(now, config, keep);
  note_targets(keep);
  const WallWindow window{until_, until_ + config.interval};
  if (window.to + kSettle > now) return Round::kNothing;
  if (std::exchange(done_to_, window.to) != window.to) done_.clear();
  for (const auto& [identity, known] : known_) {
    const std::string& service = known.facts->service;
    if (done_.contains(identity) ||
        (!config.service.empty() && ::fnmatch(config.service.c_str(), service.c_str(), 0) != 0))
      continue;
    if (ports_.ending()) return Round::kFailed;
    if (const auto pushed = push_target(config, *known.facts, window); !pushed.has_value()) {
      note_failure(pushed.error(), now - window.to);
      return Round::kFailed;
    }
    done_.insert(identity);
  }
  until_ = window.to;
  store();
  note_success(now - window.to);
  return Round::kDone;
}

// --- what is said of it ---

void PushQueue::note_answer(int status, bool taken) {
  const std::lock_guard lock(mutex_);
  figures_.profiles += taken ? 1 : 0;
  figures_.refused += taken ? 0 : 1;
  if (!taken && figures_.refused == 1)
    ports_.log(fmt::format("the endpoint of [push] refuses a profile: status {}", status));
}

void PushQueue::note_failure(const Error& error, nanoseconds behind) {
  std::string why = describe(error);
  const std::lock_guard lock(mutex_);
  if (figures_.trouble.empty()) ports_.log("profiles are not pushed: " + why);
  figures_.trouble = std::move(why);
  figures_.behind = behind;
}

void PushQueue::note_success(nanoseconds behind) {
  const std::lock_guard lock(mutex_);
  if (!figures_.trouble.empty()) ports_.log("profiles are pushed again");
  figures_.trouble.clear();
  figures_.behind = behind;
}

}  // namespace memspy::daemon

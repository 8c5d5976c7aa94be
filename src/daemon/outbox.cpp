#include "daemon/outbox.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "base/file.h"
#include "daemon/http_post.h"
#include "daemon/json.h"
#include "daemon/run_child.h"
#include "daemon/whole_file.h"

namespace memspy::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::size_t kMostDeliveries = 1000;
constexpr std::size_t kLongestFile = 1U << 20;
constexpr auto kLongestLife = 24h;
constexpr auto kLongestRetryPause = 5min;
constexpr auto kHookTime = 60s;
constexpr auto kAlertPostTime = 10s;

std::string file_text(const Delivery& delivery) {
  Json json;
  json["hook"] = delivery.hook;
  json["post"] = delivery.post;
  json["body"] = delivery.body;
  json["attempts"] = delivery.attempts;
  json["created_ns"] = delivery.created.count();
  return json_text(json) + "\n";
}

std::optional<Delivery> read_delivery(const std::string& path) {
  const auto text = read_file(path, kLongestFile);
  if (!text.has_value()) return std::nullopt;
  const Json json = parse_json(*text);
  const auto body = member<std::string>(json, "body");
  if (!body || !json.contains("hook") || !json["hook"].is_array()) return std::nullopt;
  Delivery delivery;
  delivery.id = fs::path(path).stem().string();
  delivery.body = *body;
  delivery.post = member<std::string>(json, "post").value_or("");
  for (const Json& word : json["hook"])
    if (word.is_string()) delivery.hook.push_back(word.get<std::string>());
  delivery.attempts = member<unsigned>(json, "attempts").value_or(0);
  delivery.created = std::chrono::nanoseconds(member<std::int64_t>(json, "created_ns").value_or(0));
  return delivery;
}

std::string place_of(const Delivery& delivery) {
  return delivery.hook.empty() ? delivery.post : fmt::format("{}", fmt::join(delivery.hook, " "));
}

}  // namespace

std::chrono::nanoseconds delivery_pause(unsigned attempts) {
  const unsigned doublings = std::min(attempts > 0 ? attempts - 1 : 0, 20U);
  return std::min<std::chrono::nanoseconds>(1s * (1U << doublings), kLongestRetryPause);
}

Result<std::unique_ptr<Outbox>> Outbox::open(const std::string& folder, Deliver deliver, Log log) {
  ::mkdir(folder.c_str(), 0700);
  if (::access(folder.c_str(), W_OK) != 0)
    return make_error(Errc::kOutput, "cannot write to the folder " + folder);
  return std::unique_ptr<Outbox>(new Outbox(folder, std::move(deliver), std::move(log)));
}

Outbox::Outbox(std::string folder, Deliver deliver, Log log)
    : folder_(std::move(folder)), deliver_(std::move(deliver)), log_(std::move(log)) {
  load();
  for (std::size_t i = 0; i < threads_.size(); ++i)
    threads_[i] = std::thread([this, kind = i == 0 ? Kind::kPost : Kind::kHook] { run(kind); });
}

Outbox::~Outbox() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Outbox::load() {
  std::error_code none;
  std::vector<Delivery> found;
  for (const auto& entry : fs::directory_iterator(folder_, none)) {
    if (entry.path().extension() != ".json") continue;
    if (auto delivery = read_delivery(entry.path().string())) found.push_back(std::move(*delivery));
  }
  std::sort(found.begin(), found.end(),
            [](const Delivery& a, const Delivery& b) { return a.created < b.created; });
  for (Delivery& delivery : found) append(std::move(delivery));
}

void Outbox::append(Delivery delivery) {
  std::string about = member<std::string>(parse_json(delivery.body), "id").value_or("");
  entries_.push_back({std::move(delivery), std::move(about), next_number_++, {}});
}

void Outbox::add(Delivery delivery) {
  {
    const std::lock_guard lock(mutex_);
    delivery.id = fmt::format("{}-{}-{}", delivery.created.count(), ::getpid(), next_id_++);
    if (entries_.size() >= kMostDeliveries) {
      log_("too many alerts wait to be told: the oldest is dropped: " + entries_.front().about);
      ::unlink(path_of(entries_.front().delivery).c_str());
      entries_.pop_front();
      ++given_up_;
    }
    // A full disk is no reason not to try at once.
    if (const auto kept = write_whole_file(path_of(delivery), file_text(delivery));
        !kept.has_value())
      log_(describe(kept.error()));
    append(std::move(delivery));
  }
  news_.notify_all();
}

Outbox::Figures Outbox::figures() const {
  const std::lock_guard lock(mutex_);
  return {entries_.size(), given_up_};
}

// `entry` is out of the queue, and its file there.
void Outbox::settle(Entry entry, Delivered result) {
  Delivery& delivery = entry.delivery;
  ++delivery.attempts;
  const bool old = wall_clock_now() - delivery.created > kLongestLife;
  if (result == Delivered::kLater && !old) {
    (void)write_whole_file(path_of(delivery), file_text(delivery));
    entry.next = std::chrono::steady_clock::now() + delivery_pause(delivery.attempts);
    const auto later = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& e) { return e.number > entry.number; });
    entries_.insert(later, std::move(entry));
    return;
  }
  if (result != Delivered::kDone) {
    ++given_up_;
    log_(fmt::format("the alert {} could not be told to {} in {} attempts, and is dropped",
                     entry.about, place_of(delivery), delivery.attempts));
  }
  ::unlink(path_of(delivery).c_str());
}

Outbox::Subject Outbox::subject_of(const Entry& entry) {
  return {entry.about, place_of(entry.delivery)};
}

// Whose turn is the soonest; of those that are about one alert at one place, only the first has
// one, and none while that is being told.
Outbox::Entries::iterator Outbox::next_of(Kind kind) {
  auto next = entries_.end();
  std::set<Subject> before = busy_;
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (!is_of(*it, kind)) continue;
    const bool first = it->about.empty() || before.insert(subject_of(*it)).second;
    if (first && (next == entries_.end() || it->next < next->next)) next = it;
  }
  return next;
}

void Outbox::run(Kind kind) {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const auto next = next_of(kind);
    if (next == entries_.end()) {
      news_.wait(lock);
      continue;
    }
    const SteadyTime turn = next->next;  // it may be moved, or gone, once this waits
    if (turn > std::chrono::steady_clock::now()) {
      news_.wait_until(lock, turn);
      continue;
    }
    Entry entry = std::move(*next);
    entries_.erase(next);
    const Subject subject = subject_of(entry);
    busy_.insert(subject);
    lock.unlock();
    const Delivered result = deliver_(entry.delivery, ending_);
    lock.lock();
    busy_.erase(subject);
    settle(std::move(entry), result);
    news_.notify_all();  // of what waited for it
  }
}

Delivered deliver(const Delivery& delivery, const std::atomic<bool>& ending,
                  const Outbox::Log& log) {
  if (!delivery.hook.empty()) {
    ChildOptions options;
    options.command = delivery.hook;
    options.output = "/dev/null";
    const auto status = run_child(options, delivery.body, kHookTime, ending);
    if (status.has_value() && WIFEXITED(*status) && WEXITSTATUS(*status) == 0)
      return Delivered::kDone;
    if (ending) return Delivered::kLater;  // it was cut short, and is the next daemon's
    // A hook that has run has had its effects: it is not run again.
    log(fmt::format("the hook {} failed: {}", delivery.hook.front(),
                    status.has_value() ? describe_child_end(*status) : describe(status.error())));
    return Delivered::kNever;
  }
  const auto url = parse_http_url(delivery.post);
  if (!url.has_value()) return Delivered::kNever;
  const auto status = post_json(*url, delivery.body, kAlertPostTime);
  if (status.has_value() && *status >= 200 && *status < 300) return Delivered::kDone;
  log(fmt::format(
      "POST to {}: {}", delivery.post,
      status.has_value() ? fmt::format("status {}", *status) : describe(status.error())));
  const bool refused =
      status.has_value() && *status >= 400 && *status < 500 && *status != 408 && *status != 429;
  return refused ? Delivered::kNever : Delivered::kLater;
}

}  // namespace memspy::daemon

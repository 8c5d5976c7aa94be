// Alerts on their way out: hooks and POSTs that are still to be done, as files, so that a restart
// loses none. What fails is tried again, ever later, for a day; what is told of the same alert to
// the same place waits for it, as the end of an alert that nobody has heard of makes no sense.
//
// Any thread adds; four of its own deliver, one at a time each: a hook may take a minute, and
// neither a POST nor the next hooks wait for it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "memspy/result.h"

namespace memspy::daemon {

struct Delivery {
  std::string id;                 // the name of its file; made by add()
  std::vector<std::string> hook;  // either this command, with `body` on its standard input…
  std::string post;               // …or this URL
  std::string body;
  unsigned attempts = 0;
  std::chrono::nanoseconds created{};  // since the Unix epoch
};

// What is to be done with one that was tried.
enum class Delivered { kDone, kLater, kNever };
// How long to wait after so many attempts: 1 s, 2 s, 4 s… five minutes at most.
std::chrono::nanoseconds delivery_pause(unsigned attempts);

class Outbox {
 public:
  // `ending`: the outbox is about to be closed, and waits for it.
  using Deliver = std::function<Delivered(const Delivery&, const std::atomic<bool>& ending)>;
  using Log = std::function<void(const std::string&)>;

  // Goes on with what is in `folder`, which is made if need be.
  static Result<std::unique_ptr<Outbox>> open(const std::string& folder, Deliver deliver, Log log);
  ~Outbox();  // what is not delivered stays for the next one
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  void add(Delivery delivery);
  struct Figures {
    std::size_t waiting = 0;
    std::uint64_t given_up = 0;  // for good, since it was opened
  };
  Figures figures() const;

 private:
  struct Entry {
    Delivery delivery;
    std::string about;  // the alert's id: what is told of one, is told in order
    std::uint64_t number = 0;
    SteadyTime next{};
  };
  using Entries = std::deque<Entry>;
  using Subject = std::pair<std::string, std::string>;  // which alert, and to whom it is told
  static Subject subject_of(const Entry& entry);
  Outbox(std::string folder, Deliver deliver, Log log);
  void load();
  enum class Kind { kHook, kPost };
  static bool is_of(const Entry& entry, Kind kind) {
    return entry.delivery.hook.empty() == (kind == Kind::kPost);
  }
  void append(Delivery delivery);
  Entries::iterator next_of(Kind kind);
  void run(Kind kind);
  void settle(Entry entry, Delivered result);
  std::string path_of(const Delivery& delivery) const {
    return folder_ + "/" + delivery.id + ".json";
  }

  std::string folder_;
  Deliver deliver_;
  Log log_;
  mutable std::mutex mutex_;
  std::condition_variable news_;
  Entries entries_;  // by number
  std::uint64_t next_number_ = 0;
  std::atomic<bool> ending_{false};
  unsigned next_id_ = 0;
  std::uint64_t given_up_ = 0;
  std::set<Subject> busy_;  // that are being told
  std::array<std::thread, 4> threads_;
};

// Runs the hook, or posts; a hook has a minute, a POST ten seconds.
Delivered deliver(const Delivery& delivery, const std::atomic<bool>& ending,
                  const Outbox::Log& log);

}  // namespace memspy::daemon

// A live process' image: seized, held, copied, let go, on a thread of its own whose end lets go of
// everything whatever happens.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "attach/access.h"
#include "attach/bulk_copy.h"
#include "attach/bystander.h"
#include "attach/image_plan.h"
#include "attach/left_alone.h"
#include "attach/pieced_image.h"
#include "attach/process_image.h"
#include "attach/restarts.h"
#include "base/byte_units.h"
#include "base/duration.h"

namespace memspy::attach {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr nanoseconds kGatherDeadline = 250ms;  // for all threads to stop
constexpr nanoseconds kCatchDeadline = 5ms;     // for one that has begun to run during the copy
constexpr nanoseconds kLookEvery = 1ms;         // at the threads that were left alone
constexpr int kLookShare = 10;                  // …and never more than a tenth of the time
constexpr std::uint64_t kTrialBytes = std::uint64_t{32} << 20;  // copied to learn the host's speed
constexpr int kHighestPriority = -20;                           // of setpriority(2)
constexpr int kTrials = 3;
constexpr nanoseconds kPerThread = 30us;  // to stop it and let it go

nanoseconds seconds_to_ns(double seconds) {
  return nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

// How long the stop will be, from a copy of memspy's own memory. Not of the target's: while that
// runs it may free a page just before the read, which would then map a fresh one into it.
Result<nanoseconds> predict_pause(const ImagePlan& plan, nanoseconds planning, std::size_t threads,
                                  std::byte* room) {
  nanoseconds copying{};
  const std::uint64_t bytes = std::min(kTrialBytes, plan.copy_bytes);
  if (bytes > 0 && plan.swap_bytes == 0) {
    const std::vector<std::byte> own(bytes, std::byte{1});
    const RemoteAddr start{reinterpret_cast<std::uintptr_t>(own.data())};
    const std::vector<CopyRange> part{{start, start + bytes}};
    auto fastest = nanoseconds::max();  // any may be preempted
    for (int trial = 0; trial < kTrials; ++trial) {
      const auto begin = SteadyClock::now();
      MEMSPY_CHECK(BulkCopy(Pid{::getpid()}, part, room).run([](std::uint64_t) { return true; }));
      fastest = std::min<nanoseconds>(fastest, SteadyClock::now() - begin);
    }
    const double seconds = to_seconds(fastest);
    copying =
        seconds_to_ns(seconds * static_cast<double>(plan.copy_bytes) / static_cast<double>(bytes));
  }
  return copying + planning + kPerThread * static_cast<std::int64_t>(threads);
}

struct Planned {
  ImagePlan plan;
  nanoseconds took{};
};

Result<Planned> plan_now(const procfs::ProcDir& proc, Pid pid) {
  const auto begin = SteadyClock::now();
  MEMSPY_TRY(pagemap, procfs::Pagemap::open(proc, pid));
  MEMSPY_TRY(plan, plan_image(proc, pid, pagemap));
  return Planned{std::move(plan), SteadyClock::now() - begin};
}

class Taker {
 public:
  Taker(const procfs::ProcDir& proc, Pid pid, const ImageOptions& options)
      : proc_(proc), pid_(pid), options_(options) {}
  Result<Unit> prepare();
  // On the thread that `seizure` belongs to.
  Result<HoldReport> take(Seizure& seizure);
  // Afterwards: while the target is traced, signals that it ignores reach it.
  std::unique_ptr<ProcessImage> finish(const HoldReport& held);

 private:
  Result<Unit> copy_held(Seizure& seizure);
  Result<bool> copy_once(Seizure& seizure, bool last);
  bool between_pieces(Seizure& seizure, std::uint64_t done, bool last);
  std::optional<Error> too_long(nanoseconds expected, std::string_view how) const;
  nanoseconds held_so_far() const { return SteadyClock::now() - stop_begin_; }

  const procfs::ProcDir& proc_;
  Pid pid_;
  const ImageOptions& options_;
  LeftAlone left_alone_{proc_, pid_};
  ImageFacts facts_;
  ImagePlan plan_;
  std::optional<CopyStore> store_;
  SteadyClock::time_point begin_ = SteadyClock::now(), stop_begin_, next_look_;
  nanoseconds expected_copy_{};
  bool caught_ = false;   // a thread that began to run is held now: the copy starts again
  bool overdue_ = false;  // max_pause
};

std::optional<Error> Taker::too_long(nanoseconds expected, std::string_view how) const {
  if (!options_.max_pause || expected <= *options_.max_pause) return std::nullopt;
  Error error = make_error(
      Errc::kTimeout, fmt::format("process {} would stand still for {}, and may for {}", pid_.value,
                                  format_duration(expected), format_duration(*options_.max_pause)));
  error.why = fmt::format("{} have to be copied{}", format_bytes(plan_.copy_bytes), how);
  error.hint = "allow a longer --max-pause, or look when the process is smaller";
  return error;
}

Result<Unit> Taker::prepare() {
  MEMSPY_CHECK(check_access(proc_, pid_));
  MEMSPY_TRY(identity, proc_.identity(pid_));
  facts_.process = identity;
  MEMSPY_TRY(planned, plan_now(proc_, pid_));
  plan_ = std::move(planned.plan);
  MEMSPY_TRY(store, CopyStore::make(proc_, plan_.copy_bytes, options_.spool));
  store_.emplace(std::move(store));
  MEMSPY_TRY(threads, proc_.threads(pid_));
  MEMSPY_TRY(pause, predict_pause(plan_, planned.took, threads.size(), store_->data()));
  expected_copy_ = pause;
  // An estimate can be wrong by this much; the stop itself has the last word.
  if (auto error = too_long(pause / 2, "")) {
    return std::move(*too_long(pause, "; it was not stopped"));
  }
  return Unit{};
}

// On every call the threads that can be held are.
Result<Unit> Taker::copy_held(Seizure& seizure) {
  MEMSPY_TRY(identity, proc_.identity(pid_));
  if (identity != facts_.process) {
    return make_error(Errc::kNoSuchProcess,
                      fmt::format("process {} has ended; its number was used again", pid_.value));
  }
  for (int attempt = 1;; ++attempt) {
    facts_.attempts = static_cast<std::uint32_t>(attempt);
    // One more would be over the limit: then this one is the last, and marked.
    const bool last =
        attempt >= options_.attempts ||
        (options_.max_pause && held_so_far() + 2 * expected_copy_ > *options_.max_pause);
    MEMSPY_TRY(still, copy_once(seizure, last));
    if (still || last) return Unit{};
  }
}

// True: nothing moved.
Result<bool> Taker::copy_once(Seizure& seizure, bool last) {
  left_alone_.begin(seizure.left_alone());
  facts_.remarks.clear();
  MEMSPY_TRY(planned, plan_now(proc_, pid_));
  plan_ = std::move(planned.plan);
  if (plan_.map.empty())
    return make_error(Errc::kTargetGone, fmt::format("process {} has ended", pid_.value));
  if (!store_->reserve(plan_.copy_bytes)) {
    return make_error(
        Errc::kOutput,
        fmt::format("process {} has grown to {} meanwhile, more than there is room for", pid_.value,
                    format_bytes(plan_.copy_bytes)));
  }
  if (const auto statm = proc_.statm(pid_)) facts_.rss_bytes = statm->rss_bytes();
  BulkCopy copy(pid_, plan_.ranges, store_->data());
  caught_ = false;
  const auto begin = SteadyClock::now();
  MEMSPY_TRY(whole,
             copy.run([&](std::uint64_t done) { return between_pieces(seizure, done, last); }));
  facts_.copying += SteadyClock::now() - begin;
  if (overdue_) return std::move(*too_long(held_so_far(), "; the copy was given up"));
  facts_.moved = left_alone_.moved();
  facts_.copied_bytes = plan_.copy_bytes;
  facts_.left_alone = static_cast<std::uint32_t>(seizure.left_alone().size());
  if (copy.unreadable_bytes() > 0) {
    facts_.remarks.push_back(fmt::format("{} could not be read and are taken as zeros",
                                         format_bytes(copy.unreadable_bytes())));
  }
  return whole && facts_.moved == 0;
}

// A thread that was left alone and runs now can be held: from then on it is.
bool Taker::between_pieces(Seizure& seizure, std::uint64_t done, bool last) {
  const auto now = SteadyClock::now();
  overdue_ =
      options_.max_pause && now - stop_begin_ > *options_.max_pause && done < plan_.copy_bytes;
  if (overdue_) return false;
  if (left_alone_.empty() || now < next_look_) return true;
  if (seizure.hold_more(kCatchDeadline) > 0) caught_ = true;
  const auto end = SteadyClock::now();
  next_look_ = end + std::max<nanoseconds>(kLookEvery, kLookShare * (end - now));
  return last || !caught_;
}

std::unique_ptr<ProcessImage> Taker::finish(const HoldReport& held) {
  facts_.pause = held.held_for;
  facts_.threads = held.threads;
  facts_.held = held.held;
  facts_.wall_time = SteadyClock::now() - begin_;
  facts_.cut_calls = held.cut_calls;
  if (held.cut_calls > 0) {
    facts_.remarks.push_back(fmt::format(
        "{} system calls returned EINTR although the program handles no signal (they began in the "
        "moment of the stop, or a child ended during it)",
        held.cut_calls));
  }
  if (plan_.swap_bytes > 0) {
    facts_.remarks.push_back(
        fmt::format("{} were swapped out, and were read back in", format_bytes(plan_.swap_bytes)));
  }
  if (!plan_.huge_known) facts_.remarks.emplace_back("huge pages are told from Linux 6.7 on");
  store_->trim(plan_.copy_bytes);
  ImageParts parts;
  std::span<const std::byte> copy(store_->data(), plan_.copy_bytes);
  for (const CopyRange& range : plan_.ranges) {
    parts.pieces.push_back({range.start, copy.first(range.size())});
    copy = copy.subspan(range.size());
  }
  if (auto pagemap = procfs::Pagemap::open(proc_, pid_); pagemap.has_value()) {
    parts.files = std::make_unique<FilePages>(proc_, pid_, plan_.map, std::move(pagemap).value());
  }
  parts.map = std::move(plan_.map);
  parts.pages = std::move(plan_.pages);
  parts.facts = std::move(facts_);
  return std::make_unique<PiecedImage>(std::move(parts), std::move(*store_));
}

Result<HoldReport> Taker::take(Seizure& seizure) {
  auto copied = Result<Unit>(make_error(Errc::kInternal, "nothing was copied"));
  // The threads are seized before the clock starts: nothing stops for that.
  if (auto seized = seizure.seize(pid_); !seized.has_value()) {
    MEMSPY_CHECK(check_access(proc_, pid_));  // says more, when it is what stands in the way
    return std::move(seized).error();
  }
  stop_begin_ = SteadyClock::now();
  const auto deadline =
      options_.max_pause ? std::min(kGatherDeadline, *options_.max_pause / 2) : kGatherDeadline;
  MEMSPY_TRY(held, seizure.with_all_held(
                       pid_, deadline, [&](Tid tid) { return stoppable(proc_, pid_, tid); },
                       [&] { copied = copy_held(seizure); }));
  MEMSPY_CHECK(std::move(copied));
  return held;
}

}  // namespace

Result<ImageEstimate> estimate_image(const procfs::ProcDir& proc, Pid pid,
                                     const ImageOptions& options) {
  MEMSPY_CHECK(check_access(proc, pid));
  MEMSPY_TRY(planned, plan_now(proc, pid));
  MEMSPY_TRY(available, CopyStore::available(proc, options.spool));
  MEMSPY_TRY(threads, proc.threads(pid));
  ImageEstimate estimate;
  estimate.copy_bytes = planned.plan.copy_bytes;
  estimate.available_bytes = available;
  auto room = CopyStore::make(proc, std::min(kTrialBytes, planned.plan.copy_bytes), "");
  if (!room.has_value()) return estimate;  // it cannot be taken here anyway, unless spooled
  MEMSPY_TRY(pause, predict_pause(planned.plan, planned.took, threads.size(), room->data()));
  estimate.pause = pause;
  return estimate;
}

Result<std::unique_ptr<ProcessImage>> take_image(const procfs::ProcDir& proc, Pid pid,
                                                 const ImageOptions& options) {
  Taker taker(proc, pid, options);
  MEMSPY_CHECK(taker.prepare());
  auto held = Result<HoldReport>(make_error(Errc::kInternal, "the image was not taken"));
  // On a thread of its own, whose end lets go of everything whatever happens.
  on_tracer_thread([&] {
    // Whoever competes for the processors now lengthens the target's pause. Where it is permitted
    // this thread, and the helpers that it starts, go first until it ends.
    static_cast<void>(::setpriority(PRIO_PROCESS, 0, kHighestPriority));
    Bystander bystander;
    Seizure seizure(proc, bystander, false);
    held = taker.take(seizure);
  });
  MEMSPY_CHECK(held);
  return taker.finish(*held);
}

Result<std::unique_ptr<ProcessImage>> take_image(const procfs::ProcDir& proc, Pid pid,
                                                 const ImageOptions& options,
                                                 const OnTracer& on_tracer) {
  Taker taker(proc, pid, options);
  MEMSPY_CHECK(taker.prepare());
  auto held = Result<HoldReport>(make_error(Errc::kInternal, "the image was not taken"));
  MEMSPY_CHECK(on_tracer([&](Seizure& seizure) { held = taker.take(seizure); }));
  MEMSPY_CHECK(held);
  return taker.finish(*held);
}

}  // namespace memspy::attach

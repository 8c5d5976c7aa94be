#include "daemon/evidence.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <tuple>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"
#include "base/file.h"
#include "daemon/evidence_shelf.h"
#include "daemon/merged_window.h"
#include "daemon/run_child.h"
#include "daemon/shelf.h"
#include "daemon/whole_file.h"
#include "procfs/proc_dir.h"
#include "recording/recording.h"
#include "recording/summary_json.h"
#include "recording/text.h"

namespace memspy::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::size_t kMostOrders = 16;
constexpr auto kDumpTime = 15s;
constexpr auto kHeapTime = 3min;
constexpr auto kPageTime = 2min;
constexpr auto kReportTime = 1min;
constexpr auto kLiveTime = 1min;  // besides: a pass over a large heap takes seconds
constexpr std::chrono::seconds kShortestWatch = 4s, kLongestWatch = 10s;
constexpr std::size_t kLargestDocument = 64 << 20;
constexpr off_t kLargestPage = 32 << 20;
constexpr off_t kLargestSnapshot = 64 << 20;

constexpr double kWorthRoom = 4 << 20;    // bytes in swap
constexpr double kSpareBytes = 64 << 20;  // of the disk, which stay free

double free_bytes(const std::string& folder) {
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) return 0;
  return static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
}

// A window of what was recorded, as a recording of its own.
class WindowSink final : public SampleSink {
 public:
  WindowSink(recording::Writer& out, std::chrono::nanoseconds length)
      : out_(out), length_(length) {}
  Result<Unit> on_header(const RunHeader& r) override {
    any_ = true;
    return out_.on_header(r);
  }
  Result<Unit> on_process(const ProcessRecord& r) override { return out_.on_process(r); }
  Result<Unit> on_thread(const ThreadRecord& r) override { return out_.on_thread(r); }
  Result<Unit> on_frame(FrameId i, const Frame& f) override { return out_.on_frame(i, f); }
  Result<Unit> on_stack(StackId i, const StackTable::Node& n) override {
    return out_.on_stack(i, n);
  }
  Result<Unit> on_point(const SeriesPoint& r) override {
    return in(r.time, [&] { return out_.on_point(r); });
  }
  Result<Unit> on_growth(const GrowthRecord& r) override {
    return in(r.time, [&] { return out_.on_growth(r); });
  }
  Result<Unit> on_unattributed(const UnattributedRecord& r) override {
    return in(r.time, [&] { return out_.on_unattributed(r); });
  }
  Result<Unit> on_gap(const Gap& r) override {
    return in(r.time, [&] { return out_.on_gap(r); });
  }
  Result<Unit> on_tick_end(std::chrono::nanoseconds time) override {
    return in(time, [&] { return out_.on_tick_end(time); });
  }
  Result<Unit> finish(const RunSummary& r) override { return out_.finish(r); }
  bool any() const { return any_; }

 private:
  template <typename Pass>
  Result<Unit> in(std::chrono::nanoseconds time, Pass&& pass) const {
    return time > 0ns && time <= length_ ? pass() : Result<Unit>(Unit{});
  }
  recording::Writer& out_;
  std::chrono::nanoseconds length_;
  bool any_ = false;
};

Result<Unit> copy_window(const std::string& state_dir, const ProcessIdentity& target,
                         WallWindow window, Recorded what, const std::string& to) {
  MEMSPY_TRY(writer, recording::Writer::create(to));
  WindowSink sink(*writer, window.to - window.from);
  const auto told = tell_window(state_dir, target, window, what, sink);
  writer.reset();
  if (told.has_value() && sink.any()) return Unit{};
  ::unlink(to.c_str());
  if (!told.has_value()) return told.error();
  return make_error(Errc::kNoSuchProcess, "nothing is recorded of that time");
}

// A daemon that was killed while it gathered: its alert names a folder that would never be there.
void finish_interrupted(const std::string& folder) {
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() != ".part") continue;
    const std::string part = entry->path().string();
    (void)write_whole_file(part + "/missing.txt",
                           "what is not here: the daemon ended while this was gathered\n");
    (void)::rename(part.c_str(), part.substr(0, part.size() - sizeof(".part") + 1).c_str());
  }
}

// What the target's control group has left; nullopt: it has no limit, or that cannot be read.
std::optional<double> room_of(Pid pid) {
  const auto memory = procfs::ProcDir().cgroup_memory(pid);
  if (!memory.has_value() || !memory->limit_bytes) return std::nullopt;
  const auto used = memory->working_set_bytes();
  if (!used) return std::nullopt;
  return static_cast<double>(*memory->limit_bytes) - static_cast<double>(*used);
}

// A look reads what is swapped out back in, on the account of the target's control group: near its
// limit that would be the end which the look is to explain. "" where it fits.
std::string swap_trouble(const TargetStatus& target, std::optional<double> room) {
  const auto swapped = target.figures[SeriesColumn::kSwapBytes].value_or(0);
  if (!room || swapped < kWorthRoom || 2 * swapped < *room) return "";
  const auto text = [](double bytes) {
    return format_bytes(static_cast<std::uint64_t>(std::max(bytes, 0.0)));
  };
  return fmt::format(
      "heap.json, heap.memsnap: {} are swapped out, a look would read them back in, and the "
      "control group has {} left\n",
      text(swapped), text(*room));
}

// Until its limit, as fast as it grows now; half of it is for what is left to do.
std::chrono::seconds time_to_watch(const TargetStatus& target, std::optional<double> room) {
  const double rate = target.group_growth_per_minute.value_or(target.growth_per_minute.value_or(0));
  if (!room || rate <= 0) return kLongestWatch;
  const auto half = static_cast<std::int64_t>(std::clamp(*room / rate * 60 / 2, 0.0, 1e6));
  return std::clamp(std::chrono::seconds(half), kShortestWatch, kLongestWatch);
}

// One that nobody has reaped yet has no memory any more, either.
bool has_ended(const ProcessIdentity& target) {
  const procfs::ProcDir proc;
  const auto statm = proc.statm(target.pid);
  return !proc.exists(target) || !statm.has_value() || statm->resident_pages == 0;
}

// Who comes first: who lives; whose control group is full the soonest, as it grew when the alert
// fired; whose has the least left.
std::tuple<bool, double, double> turn_of(const EvidenceOrder& order) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const AlertFigures figures = alert_figures(order.event.target);
  const auto left = seconds_to_limit(figures);
  const auto& used = figures.usage ? figures.usage : figures.rss;
  return {!order.alive, left ? to_seconds(order.event.time) + *left : kNever,
          figures.limit && used ? *figures.limit - *used : kNever};
}

}  // namespace

Result<std::unique_ptr<Evidence>> Evidence::open(const std::string& state_dir,
                                                 std::vector<std::string> program,
                                                 const AlertHistory& history, Log log) {
  const std::string folder = state_dir + "/evidence";
  ::mkdir(folder.c_str(), 0700);
  if (::access(folder.c_str(), W_OK) != 0)
    return make_error(Errc::kOutput, "cannot write to the folder " + folder);
  finish_interrupted(folder);
  return std::unique_ptr<Evidence>(
      new Evidence(state_dir, std::move(program), history, std::move(log)));
}

Evidence::Evidence(std::string state_dir, std::vector<std::string> program,
                   const AlertHistory& history, Log log)
    : state_dir_(std::move(state_dir)),
      folder_(state_dir_ + "/evidence"),
      program_(std::move(program)),
      history_(history),
      log_(std::move(log)),
      thread_([this] { run(); }) {}

Evidence::~Evidence() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;  // the child that is under way is killed
    orders_.clear();
  }
  news_.notify_all();
  thread_.join();
}

bool Evidence::add(EvidenceOrder order) {
  {
    const std::lock_guard lock(mutex_);
    if (orders_.size() >= kMostOrders) return false;
    orders_.push_back(std::move(order));
  }
  news_.notify_all();
  return true;
}

bool Evidence::wants(const ProcessIdentity& target) {
  const std::lock_guard lock(mutex_);
  return looked_at_ == target ||
         std::any_of(orders_.begin(), orders_.end(), [&](const EvidenceOrder& order) {
           return order.event.target.facts->identity == target;
         });
}

bool Evidence::ran(Bundle& bundle, const std::vector<std::string>& arguments, const char* name,
                   std::chrono::nanoseconds patience, const std::string& output,
                   std::string* printed) const {
  ChildOptions options;
  options.command = program_;
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  options.output = output;
  const auto status = run_child(options, "", patience, ending_, printed);
  if (status.has_value() && *status == 0) return true;
  bundle.missing += fmt::format("{}: {}\n", name,
                                status.has_value() ? "memspy " + arguments.front() + " ended by " +
                                                         describe_child_end(*status)
                                                   : describe(status.error()));
  return false;
}

bool Evidence::made(Bundle& bundle, std::vector<std::string> arguments, const char* name,
                    std::chrono::nanoseconds patience, Made how) const {
  const std::string path = bundle.path(name);
  if (ran(bundle, arguments, name, patience, how == Made::kPrinted ? path : "", nullptr))
    return true;
  if (how == Made::kRecorded && recording::Reader::open(path).has_value()) return true;
  for (const char* suffix : {"-wal", "-shm", ""}) ::unlink((path + suffix).c_str());
  return false;
}

bool Evidence::seen(Bundle& bundle, const char* verb, const std::vector<std::string>& arguments,
                    const char* name, std::chrono::nanoseconds patience, Made how) const {
  const ProcessIdentity& target = bundle.order.event.target.facts->identity;
  const std::size_t said = bundle.missing.size();
  if (!bundle.ended) {
    std::vector<std::string> command = {verb, "-p", std::to_string(target.pid.value)};
    command.insert(command.end(), arguments.begin(), arguments.end());
    if (made(bundle, std::move(command), name, patience, how)) return true;
    bundle.ended = has_ended(target);
  }
  if (!bundle.ended) return false;
  bundle.missing.resize(said);
  bundle.missing += fmt::format("{}: the process ended before it could be made\n", name);
  return false;
}

// The target is looked at once: what else is said of its heap is made of the snapshot.
void Evidence::look(Bundle& bundle) const {
  const TargetStatus& target = bundle.order.event.target;
  seen(bundle, "dump", {"--json"}, "dump.json", kDumpTime);
  const double rss = target.figures[SeriesColumn::kRssBytes].value_or(0);
  const double room = free_bytes(bundle.folder) - kSpareBytes;
  if (const std::string trouble = swap_trouble(target, room_of(target.facts->identity.pid));
      !trouble.empty()) {
    bundle.missing += trouble;
  } else if (room < rss) {
    bundle.missing += "heap.json, heap.memsnap: the disk has no room for a copy of the memory\n";
  } else if (room < 2 * rss) {
    bundle.missing += "heap.memsnap: the disk has no room for it beside a copy of the memory\n";
    seen(bundle, "heap", {"--json", "--spool", bundle.folder}, "heap.json", kHeapTime);
  } else {
    const std::string file = bundle.path("heap.memsnap");
    if (seen(bundle, "snapshot", {"--spool", bundle.folder, "-o", file}, "heap.memsnap", kHeapTime,
             Made::kWritten))
      made(bundle, {"heap", file, "--json"}, "heap.json", kHeapTime);
    else
      bundle.missing += "heap.json: it is made of heap.memsnap\n";
  }
}

// Pages tell who touched them first: often somebody who works beside the one who keeps.
void Evidence::watch_heap(Bundle& bundle) const {
  const TargetStatus& target = bundle.order.event.target;
  const auto time = time_to_watch(target, room_of(target.facts->identity.pid));
  seen(bundle, "record",
       {"--mode", "live", "-d", fmt::format("{}s", time.count()), "-o", bundle.path("live.memspy")},
       "live.memspy", time + kLiveTime, Made::kRecorded);
}

void Evidence::write_alerts(Bundle& bundle) const {
  const AlertEvent& event = bundle.order.event;
  const std::string line = json_text(alert_json(event)) + "\n";
  (void)write_whole_file(bundle.path("alert.json"), line);
  std::string lines;
  AlertEvent past = event;
  for (const sinks::PageAlert& alert :
       history_.of(event.target.facts->identity, bundle.order.window)) {
    past.time = alert.time;
    Json json = alert_json(past);
    if (alert.name == event.alert.name && alert.time == event.time) continue;
    // What is known of it: its figures were those of another moment.
    for (const char* key : {"id", "value", "note", "labels", "rss_bytes", "limit_bytes",
                            "growth_bytes_per_minute", "evidence"})
      json.erase(key);
    json["alert"] = alert.name;
    json["when"] = alert.when;
    json["state"] = alert.state;
    lines += json_text(json) + "\n";
  }
  (void)write_whole_file(bundle.path("alerts.jsonl"), lines + line);
}

void Evidence::copy_recordings(Bundle& bundle) const {
  const ProcessIdentity& target = bundle.order.event.target.facts->identity;
  const auto copy = [&](const char* name, Recorded what) {
    const WallWindow window =
        what == Recorded::kHistory ? bundle.order.history : bundle.order.window;
    const auto copied = copy_window(state_dir_, target, window, what, bundle.path(name));
    // A target of a minute has no history yet; its series has all of it.
    const bool young = what == Recorded::kHistory && !copied.has_value() &&
                       copied.error().code == Errc::kNoSuchProcess;
    if (!copied.has_value() && !young)
      bundle.missing += fmt::format("{}: {}\n", name, describe(copied.error()));
  };
  copy("growth.memspy", Recorded::kAll);
  copy("series.memspy", Recorded::kSeries);
  copy("history.memspy", Recorded::kHistory);
}

// The last minutes by the second, what was before by the history.
void Evidence::write_start(Bundle& bundle) const {
  const auto reader = recording::Reader::open(bundle.path("series.memspy"));
  if (!reader.has_value()) return;  // missing.txt says why
  auto profile = recording::Profile::load(*reader);
  if (!profile.has_value()) return;
  (void)recording::load_earlier(bundle.path("history.memspy"), *profile);
  Json json = {{"schema", "memspy.growing/1"}};
  json["growth_start"] = recording::growth_start_json(*profile);
  if (!write_whole_file(bundle.path("growing.json"), json_text(json) + "\n").has_value())
    bundle.missing += "growing.json: it could not be written\n";
}

// What is too large for a folder of which 32 are kept goes; the page has its sums.
void Evidence::write_page(Bundle& bundle, const std::string& verdict) const {
  struct stat info {};
  const auto there = [&](const char* name) {
    return ::stat(bundle.path(name).c_str(), &info) == 0;
  };
  std::vector<std::string> command = {"report"};
  if (there("growth.memspy")) command.push_back(bundle.path("growth.memspy"));
  if (there("heap.memsnap")) command.push_back(bundle.path("heap.memsnap"));
  if (command.size() == 1) {
    bundle.missing += "report.html: there is nothing that it could show\n";
    return;
  }
  if (there("growth.memspy"))
    command.insert(command.end(), {"--alerts", bundle.path("alerts.jsonl")});
  if (there("growth.memspy") && there("history.memspy"))
    command.insert(command.end(), {"--history", bundle.path("history.memspy")});
  if (const std::string lead = lead_of(verdict); there("growth.memspy") && !lead.empty())
    command.insert(command.end(), {"--lead", lead});
  command.insert(command.end(), {"-f", "html", "-o", bundle.path("report.html")});
  if (free_bytes(bundle.folder) < kSpareBytes) {
    bundle.missing += "report.html: the disk has no room for it\n";
  } else if (made(bundle, command, "report.html", kPageTime, Made::kWritten) &&
             there("report.html") && info.st_size > kLargestPage) {
    bundle.missing += fmt::format("report.html: it was {}, too large to keep\n",
                                  format_bytes(static_cast<std::uint64_t>(info.st_size)));
    ::unlink(bundle.path("report.html").c_str());
  }
  // Of a disk with much room it may have a tenth.
  const double room = std::max<double>(kLargestSnapshot, free_bytes(bundle.folder) / 10);
  if (there("heap.memsnap") && static_cast<double>(info.st_size) > room) {
    bundle.missing += fmt::format("heap.memsnap: it was {}, too large to keep\n",
                                  format_bytes(static_cast<std::uint64_t>(info.st_size)));
    ::unlink(bundle.path("heap.memsnap").c_str());
  }
}

// "" where memspy cannot say; missing.txt has why.
std::string Evidence::verdict_of(Bundle& bundle, const std::vector<std::string>& report) const {
  std::string printed;
  if (!ran(bundle, report, "verdict.txt", kReportTime, "", &printed)) return "";
  return member<std::string>(parse_json(printed), "verdict").value_or("");
}

// Of one that has ended there is no look at its heap any more: an alert before may have had one.
std::vector<EarlierVerdict> Evidence::earlier_of(const Bundle& bundle) const {
  std::vector<EarlierVerdict> earlier;
  if (!bundle.ended) return earlier;
  const AlertEvent& event = bundle.order.event;
  for (const PastAlert& past : history_.all_of(event.target.facts->identity)) {
    if (past.alert.state != "firing" || past.id == event.id) continue;
    const std::string folder = folder_of(past.id);
    auto said = read_file(folder + "/verdict.txt", kLargestDocument);
    if (said.has_value())
      earlier.push_back({folder, past.alert.name, past.alert.time, std::move(*said)});
  }
  std::reverse(earlier.begin(), earlier.end());
  return earlier;
}

// What it has written.
std::string Evidence::write_verdicts(Bundle& bundle) const {
  std::string text;
  const auto add = [&](const char* of, const std::string& verdict) {
    if (!verdict.empty()) text += fmt::format("{}: {}\n", of, verdict);
  };
  const auto there = [&](const char* name) {
    return ::access(bundle.path(name).c_str(), F_OK) == 0;
  };
  const auto heap = read_file(bundle.path("heap.json"), kLargestDocument);
  add("heap.json",
      member<std::string>(parse_json(heap.has_value() ? *heap : ""), "verdict").value_or(""));
  if (there("live.memspy"))
    add("live.memspy", verdict_of(bundle, {"report", bundle.path("live.memspy"), "--json"}));
  if (there("growth.memspy")) {
    std::vector<std::string> report = {"report", bundle.path("growth.memspy"), "--json"};
    if (there("history.memspy"))
      report.insert(report.end(), {"--history", bundle.path("history.memspy")});
    add("growth.memspy", verdict_of(bundle, std::move(report)));
  }
  text = verdict_text(text, earlier_of(bundle));
  const bool written =
      !text.empty() && write_whole_file(bundle.path("verdict.txt"), text).has_value();
  if (!written && bundle.missing.find("verdict.txt") == std::string::npos)
    bundle.missing += "verdict.txt: nothing here has one, or it could not be written\n";
  return text;
}

void Evidence::gather(const EvidenceOrder& order) {
  Bundle bundle{order, order.event.evidence + ".part", "",
                !order.alive || has_ended(order.event.target.facts->identity)};
  ::mkdir(bundle.folder.c_str(), 0700);
  write_alerts(bundle);
  if (order.alive) {
    look(bundle);
    watch_heap(bundle);
  }
  {
    // What is left is made of files: the target can have its tracer again.
    const std::lock_guard lock(mutex_);
    looked_at_.reset();
  }
  copy_recordings(bundle);
  write_start(bundle);
  write_page(bundle, write_verdicts(bundle));
  if (!bundle.missing.empty()) (void)write_whole_file(bundle.path("missing.txt"), bundle.missing);
  if (::rename(bundle.folder.c_str(), order.event.evidence.c_str()) == 0)
    log_("evidence is in " + order.event.evidence);
}

void Evidence::remove_old() {
  std::vector<KeptBundle> bundles = kept_bundles(folder_);
  for (const std::string& path : bundles_to_remove(bundles, most_bytes_, wall_clock_now())) {
    std::error_code none;
    fs::remove_all(path, none);
    std::erase_if(bundles, [&](const KeptBundle& bundle) { return bundle.path == path; });
  }
  bytes_ = total_bytes(bundles);
}

void Evidence::run() {
  remove_old();
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [&] { return ending_ || !orders_.empty(); });
    if (ending_) return;
    const auto next =
        std::min_element(orders_.begin(), orders_.end(),
                         [](const auto& a, const auto& b) { return turn_of(a) < turn_of(b); });
    const EvidenceOrder order = std::move(*next);
    orders_.erase(next);
    looked_at_ = order.event.target.facts->identity;
    lock.unlock();
    gather(order);
    remove_old();
    lock.lock();
  }
}

}  // namespace memspy::daemon

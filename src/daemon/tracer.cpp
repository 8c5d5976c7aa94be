#include "daemon/tracer.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <thread>

#include "base/wake_fd.h"
#include "daemon/segment_sink.h"
#include "daemon/tracer_protocol.h"
#include "procfs/proc_dir.h"
#include "sampler/session.h"

namespace memspy::daemon {
namespace {

constexpr std::size_t kLongestOrder = 64U << 10;
constexpr int kOrderTime = 10000;  // ms

// A daemon that does not read is none: what it does not take is dropped.
void tell(int fd, const TracerNews& news) {
  const std::string line = news_line(news);
  pollfd ready{fd, POLLOUT, 0};
  if (::poll(&ready, 1, 0) > 0 && ::write(fd, line.data(), line.size()) < 0) return;
}

Error refuse(int fd, Error error) {
  TracerNews news;
  news.kind = TracerNews::Kind::kRefused;
  news.message = describe(error);
  if (!error.why.empty()) news.message += ": " + error.why;
  tell(fd, news);
  return error;
}

Result<TracerOrder> read_order(int fd) {
  std::string text;
  while (text.find('\n') == std::string::npos) {
    pollfd ready{fd, POLLIN, 0};
    if (::poll(&ready, 1, kOrderTime) <= 0 || text.size() > kLongestOrder)
      return make_error(Errc::kTimeout, "no order came");
    std::array<char, 4096> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count <= 0) return make_error(Errc::kUsage, "the input ended before an order came");
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return parse_order(text.substr(0, text.find('\n')));
}

// Stops the session when the input ends: the daemon has had enough of it, or is gone.
class InputWatch {
 public:
  InputWatch(int fd, sampler::Session& session)
      : thread_([this, fd, &session] { watch(fd, session); }) {}
  ~InputWatch() {
    done_.wake();
    thread_.join();
  }
  InputWatch(const InputWatch&) = delete;
  InputWatch& operator=(const InputWatch&) = delete;

 private:
  void watch(int fd, sampler::Session& session) {
    for (;;) {
      std::array<pollfd, 2> fds{pollfd{fd, POLLIN, 0}, pollfd{done_.fd(), POLLIN, 0}};
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) continue;
      if (fds[1].revents != 0) return;
      char byte = 0;
      if (::read(fd, &byte, 1) > 0) continue;
      session.stop("the daemon");
      return;
    }
  }
  WakeFd done_;
  std::thread thread_;
};

// The segments, and at each tick a line about them.
class ReportingSink final : public SampleSink {
 public:
  ReportingSink(SegmentOptions options, int fd) : segments_(std::move(options)), fd_(fd) {}

  Result<Unit> on_header(const RunHeader& r) override { return segments_.on_header(r); }
  Result<Unit> on_process(const ProcessRecord& r) override { return segments_.on_process(r); }
  Result<Unit> on_thread(const ThreadRecord& r) override { return segments_.on_thread(r); }
  Result<Unit> on_frame(FrameId i, const Frame& f) override { return segments_.on_frame(i, f); }
  Result<Unit> on_stack(StackId i, const StackTable::Node& n) override {
    return segments_.on_stack(i, n);
  }
  Result<Unit> on_point(const SeriesPoint& point) override {
    note(point);
    return segments_.on_point(point);
  }
  Result<Unit> on_growth(const GrowthRecord& r) override { return segments_.on_growth(r); }
  Result<Unit> on_unattributed(const UnattributedRecord& r) override {
    return segments_.on_unattributed(r);
  }
  Result<Unit> on_live(const LiveRecord& r) override { return segments_.on_live(r); }
  Result<Unit> on_gap(const Gap& r) override { return segments_.on_gap(r); }
  Result<Unit> on_tick_end(std::chrono::nanoseconds time) override {
    MEMSPY_CHECK(segments_.on_tick_end(time));
    news_.trouble = segments_.trouble();
    tell(fd_, news_);
    return Unit{};
  }
  Result<Unit> finish(const RunSummary& r) override { return segments_.finish(r); }

 private:
  void note(const SeriesPoint& point) {
    using C = SeriesColumn;
    const auto take = [&](std::optional<double>& out, C column) {
      if (const auto& value = point[column]) out = value;
    };
    take(news_.samples, C::kSamples);
    take(news_.rejected, C::kRejected);
    take(news_.stopped_seconds, C::kStoppedSeconds);
    take(news_.attributed_bytes, C::kAttributedBytes);
    take(news_.unattributed_bytes, C::kUnattributedBytes);
    take(news_.heap_used_bytes, C::kPymallocUsedBytes);
    take(news_.heap_free_bytes, C::kPymallocFreeBytes);
    take(news_.heap_arena_bytes, C::kArenaBytes);
    take(news_.heap_blocks, C::kPymallocUsedBlocks);
    take(news_.collections[0], C::kGc0Collections);
    take(news_.collections[1], C::kGc1Collections);
    take(news_.collections[2], C::kGc2Collections);
  }

  SegmentSink segments_;
  int fd_;
  TracerNews news_;
};

sampler::SessionOptions session_options(const TracerOrder& order) {
  sampler::SessionOptions options;
  options.auto_takes_bpf = false;  // 2 MB of the kernel's memory for each of a hundred tracers
  options.pid = order.target.pid;
  options.interval = order.interval;
  options.budget_percent = order.stopped_percent;
  options.command_line = {"memspy", "daemon"};
  return options;
}

}  // namespace

Result<Unit> run_tracer(int in_fd, int out_fd) {
  auto order = read_order(in_fd);
  if (!order.has_value()) return refuse(out_fd, std::move(order).error());
  if (!procfs::ProcDir{}.exists(order->target))
    return refuse(out_fd, make_error(Errc::kNoSuchProcess, "the target has ended"));
  ReportingSink sink({order->folder, order->segment, order->segment_bytes}, out_fd);
  auto session = sampler::Session::start(session_options(*order), sink);
  if (!session.has_value()) return refuse(out_fd, std::move(session).error());
  TracerNews news;
  news.kind = TracerNews::Kind::kStarted;
  news.engine = (*session)->header().engine;
  news.reason = (*session)->header().engine_reason;
  tell(out_fd, news);
  auto summary = [&] {
    const InputWatch watch(in_fd, **session);
    return (*session)->run();
  }();
  if (!summary.has_value()) return refuse(out_fd, std::move(summary).error());
  news = {};
  news.kind = TracerNews::Kind::kEnded;
  news.message = summary->ended_by;
  tell(out_fd, news);
  return Unit{};
}

}  // namespace memspy::daemon

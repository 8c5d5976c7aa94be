#include "daemon/tracer_process.h"

#include <signal.h>

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kTimeToEnd = 10s;
constexpr std::size_t kLongestLine = 1U << 20;

}  // namespace

Result<TracerProcess> TracerProcess::start(const std::vector<std::string>& program,
                                           const TracerOrder& order) {
  ChildOptions options;
  options.command = program;
  MEMSPY_TRY(child, ChildProcess::start(options));
  // An empty pipe takes 64 KiB, an order has a few hundred bytes; a child that is dead already
  // takes nothing, which its end will say.
  child.write_some(order_line(order));
  return TracerProcess(std::move(child));
}

TracerProcess::Heard TracerProcess::take_news() {
  Heard heard;
  heard.open = child_.read_some(heard_);
  for (std::size_t end = 0; (end = heard_.find('\n')) != std::string::npos;) {
    auto news = parse_news(heard_.substr(0, end));
    heard_.erase(0, end + 1);
    if (news.has_value()) heard.news.push_back(std::move(*news));
  }
  if (heard_.size() > kLongestLine) heard_.clear();
  return heard;
}

void TracerProcess::ask_end(SteadyTime now) {
  if (kill_at_) return;
  kill_at_ = now + kTimeToEnd;
  child_.close_input();
}

void TracerProcess::keep_deadline(SteadyTime now) {
  if (kill_at_ && now >= *kill_at_) child_.signal(SIGKILL);
}

}  // namespace memspy::daemon

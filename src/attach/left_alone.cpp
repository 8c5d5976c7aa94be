#include "attach/left_alone.h"

#include "base/file.h"

namespace memspy::attach {
namespace {

constexpr std::size_t kSmallCap = 64U << 10;

}  // namespace

void LeftAlone::begin(const std::vector<Tid>& tids) {
  before_.clear();
  for (const Tid tid : tids) before_.emplace(tid, counters(tid));
}

std::uint32_t LeftAlone::moved() const {
  std::uint32_t moved = 0;
  for (const auto& [tid, before] : before_) {
    const auto now = counters(tid);
    moved += !now || now != before ? 1 : 0;
  }
  return moved;
}

std::optional<std::string> LeftAlone::counters(Tid tid) const {
  const auto stat = proc_.stat(pid_, tid);
  if (!stat.has_value() || stat->state == 'R') return std::nullopt;
  // "time on processors, time waiting for one, times it got one": all three move when it runs.
  auto schedule = read_file(proc_.path(pid_, tid, "schedstat"), kSmallCap);
  if (schedule.has_value()) return std::move(schedule).value();
  const auto status = read_file(proc_.path(pid_, tid, "status"), kSmallCap);
  if (!status.has_value()) return std::nullopt;
  const auto at = status->find("voluntary_ctxt_switches");
  return at == std::string::npos ? std::nullopt : std::optional(status->substr(at));
}

}  // namespace memspy::attach

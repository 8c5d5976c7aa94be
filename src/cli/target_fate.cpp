#include "cli/target_fate.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "procfs/cgroup_view.h"

namespace memspy::cli {
namespace {

constexpr std::string_view kTargetEnd = "target ";

}  // namespace

TargetFate::TargetFate(const procfs::ProcDir& proc, Pid pid) : proc_(&proc), pid_(pid) {
  if (const auto stat = proc.stat(pid)) job_stopped_ = stat->job_stopped();
  cgroups_ = proc.text(pid, "cgroup").value_or("");
  if (const auto memory = procfs::cgroup_memory_of(proc, cgroups_)) oom_kills_ = memory->oom_kills;
}

std::string TargetFate::at_start() const {
  if (!job_stopped_) return {};
  return fmt::format(
      "it is stopped by a signal (T) and left so; nothing will grow until: kill -CONT {}",
      pid_.value);
}

std::string TargetFate::at_end(const std::string& ended_by) const {
  if (!ended_by.starts_with(kTargetEnd)) return {};
  std::string text = ended_by.substr(kTargetEnd.size());
  const auto memory = procfs::cgroup_memory_of(*proc_, cgroups_);
  if (!memory || !memory->oom_kills || !oom_kills_) return text;
  const std::uint64_t kills = *memory->oom_kills - std::min(*oom_kills_, *memory->oom_kills);
  if (kills > 0) {
    text += fmt::format("; the OOM killer struck its control group {} {} time{} meanwhile",
                        memory->group, kills, kills == 1 ? "" : "s");
  } else if (text.ends_with("SIGKILL")) {
    text += "; not by the OOM killer of its control group, which counts nothing new";
  }
  return text;
}

}  // namespace memspy::cli

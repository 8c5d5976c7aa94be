#include "cli/daemon_list.h"

#include "cli/process_facts.h"
#include "daemon/config.h"
#include "daemon/control_socket.h"

namespace memspy::cli {
namespace {

using daemon::member;

constexpr std::size_t kShortId = 12;  // as docker prints ids

ProcessRow row_of(const daemon::Json& target) {
  ProcessRow row;
  const auto text = [&](const char* key) {
    return printable(member<std::string>(target, key).value_or(""));
  };
  row.pid = Pid{member<pid_t>(target, "pid").value_or(0)};
  row.user = text("user");
  row.version = text("python_version");
  row.container = text("container").substr(0, kShortId);
  row.command = text("command_line");
  row.growth_per_minute = member<double>(target, "growth_bytes_per_minute");
  if (!target.contains("figures")) return row;
  row.rss_bytes = member<std::uint64_t>(target["figures"], "rss_bytes").value_or(0);
  row.pss_bytes = member<std::uint64_t>(target["figures"], "pss_bytes");
  return row;
}

}  // namespace

Result<std::vector<ProcessRow>> list_daemon_targets(const std::string& socket) {
  MEMSPY_TRY(answer, daemon::ask_daemon(socket.empty() ? daemon::Config{}.socket : socket,
                                        {{"command", "targets"}}));
  std::vector<ProcessRow> rows;
  if (!answer.contains("targets") || !answer["targets"].is_array())
    return make_error(Errc::kCorrupt, "the daemon's answer has no targets");
  for (const daemon::Json& target : answer["targets"])
    if (target.is_object()) rows.push_back(row_of(target));
  return rows;
}

}  // namespace memspy::cli

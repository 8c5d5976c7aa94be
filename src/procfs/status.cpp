#include "procfs/status.h"

#include <algorithm>

#include "procfs/text.h"

namespace memspy::procfs {
namespace {

using Setter = void (*)(Status&, std::string_view);

// "1724 kB"
std::optional<std::uint64_t> kilobytes(std::string_view value) {
  const auto count = text::number<std::uint64_t>(text::next_word(value));
  if (!count || *count > UINT64_MAX / 1024) return std::nullopt;
  return *count * 1024;
}

Pid pid_of(std::string_view value) {
  return Pid{text::number<pid_t>(text::next_word(value)).value_or(0)};
}

UserIds ids_of(std::string_view value) {
  UserIds ids;
  for (auto* id : {&ids.real, &ids.effective, &ids.saved, &ids.filesystem}) {
    *id = text::number<std::uint32_t>(text::next_word(value)).value_or(0);
  }
  return ids;
}

std::uint64_t hex_of(std::string_view value) {
  return text::number<std::uint64_t>(text::next_word(value), 16).value_or(0);
}

void set_ns_pids(Status& s, std::string_view value) {
  s.ns_pids.clear();
  for (auto word = text::next_word(value); !word.empty(); word = text::next_word(value)) {
    if (const auto pid = text::number<pid_t>(word)) s.ns_pids.push_back(*pid);
  }
}

struct Line {
  std::string_view key;
  Setter set;
};

// Sorted by key: found by binary search, because status is read once per tick and thread.
constexpr Line kLines[] = {
    {"CapBnd", [](Status& s, std::string_view v) { s.cap_bounding = hex_of(v); }},
    {"CapEff", [](Status& s, std::string_view v) { s.cap_effective = hex_of(v); }},
    {"CapPrm", [](Status& s, std::string_view v) { s.cap_permitted = hex_of(v); }},
    {"Gid", [](Status& s, std::string_view v) { s.gid = ids_of(v); }},
    {"Kthread", [](Status& s, std::string_view v) { s.kernel_thread = v == "1"; }},
    {"NSpid", set_ns_pids},
    {"Name", [](Status& s, std::string_view v) { s.name = v; }},
    {"NoNewPrivs", [](Status& s, std::string_view v) { s.no_new_privs = v == "1"; }},
    {"PPid", [](Status& s, std::string_view v) { s.ppid = pid_of(v); }},
    {"Pid", [](Status& s, std::string_view v) { s.pid = pid_of(v); }},
    {"RssAnon", [](Status& s, std::string_view v) { s.rss_anon_bytes = kilobytes(v); }},
    {"RssFile", [](Status& s, std::string_view v) { s.rss_file_bytes = kilobytes(v); }},
    {"RssShmem", [](Status& s, std::string_view v) { s.rss_shmem_bytes = kilobytes(v); }},
    {"Seccomp",
     [](Status& s, std::string_view v) { s.seccomp = text::number<int>(v).value_or(0); }},
    {"Seccomp_filters",
     [](Status& s, std::string_view v) { s.seccomp_filters = text::number<std::uint64_t>(v); }},
    {"ShdPnd", [](Status& s, std::string_view v) { s.sig_shared_pending.bits = hex_of(v); }},
    {"SigBlk", [](Status& s, std::string_view v) { s.sig_blocked.bits = hex_of(v); }},
    {"SigCgt", [](Status& s, std::string_view v) { s.sig_caught.bits = hex_of(v); }},
    {"SigIgn", [](Status& s, std::string_view v) { s.sig_ignored.bits = hex_of(v); }},
    {"SigPnd", [](Status& s, std::string_view v) { s.sig_pending.bits = hex_of(v); }},
    {"State", [](Status& s, std::string_view v) { s.state = v.empty() ? '?' : v.front(); }},
    {"THP_enabled", [](Status& s, std::string_view v) { s.thp_enabled = v == "1"; }},
    {"Tgid", [](Status& s, std::string_view v) { s.tgid = pid_of(v); }},
    {"Threads",
     [](Status& s, std::string_view v) { s.threads = text::number<std::uint64_t>(v).value_or(0); }},
    {"TracerPid", [](Status& s, std::string_view v) { s.tracer = pid_of(v); }},
    {"Uid", [](Status& s, std::string_view v) { s.uid = ids_of(v); }},
    {"VmHWM", [](Status& s, std::string_view v) { s.vm_hwm_bytes = kilobytes(v); }},
    {"VmPeak", [](Status& s, std::string_view v) { s.vm_peak_bytes = kilobytes(v); }},
    {"VmRSS", [](Status& s, std::string_view v) { s.vm_rss_bytes = kilobytes(v); }},
    {"VmSize", [](Status& s, std::string_view v) { s.vm_size_bytes = kilobytes(v); }},
    {"VmSwap", [](Status& s, std::string_view v) { s.vm_swap_bytes = kilobytes(v); }},
};
static_assert(std::is_sorted(std::begin(kLines), std::end(kLines),
                             [](const Line& a, const Line& b) { return a.key < b.key; }));

}  // namespace

Result<Status> parse_status(std::string_view input) {
  Status status;
  std::string_view line;
  bool named = false;
  while (text::next_line(input, line)) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto key = line.substr(0, colon);
    const auto* found =
        std::lower_bound(std::begin(kLines), std::end(kLines), key,
                         [](const Line& l, std::string_view k) { return l.key < k; });
    if (found == std::end(kLines) || found->key != key) continue;
    found->set(status, text::trim(line.substr(colon + 1)));
    named = named || key == "Name";
  }
  if (!named || status.state == '?' || status.pid.value <= 0) {
    return make_error(Errc::kCorrupt, "status: no Name, State or Pid");
  }
  return status;
}

}  // namespace memspy::procfs

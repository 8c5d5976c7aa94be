#include <algorithm>
#include <string>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/digits.h"
#include "heap/heap_look.h"
#include "heap/ledger_parts.h"

namespace memspy::heap {
namespace {

using snapshot::Snapshot;

// A cause is named as the first thing to act on from this share of RSS on, and from this size.
constexpr double kMattersShare = 0.1;
constexpr std::uint64_t kMatters = 16 << 20;
constexpr double kGarbageShare = 0.1;  // of the heap

std::string share(std::uint64_t part, std::uint64_t whole) {
  return fmt::format(
      "{:.0f} %", whole == 0 ? 0.0 : 100 * static_cast<double>(part) / static_cast<double>(whole));
}

bool matters(std::uint64_t bytes, std::uint64_t rss) {
  return bytes >= kMatters &&
         static_cast<double>(bytes) >= kMattersShare * static_cast<double>(rss);
}

std::string pid_text(const Snapshot& snapshot) {
  const auto pid = snapshot.header.process.pid.value;
  return pid > 0 ? std::to_string(pid) : "PID";
}

std::string biggest_owner(const snapshot::Owners& owners) {
  for (const auto& owner : owners.owners) {
    if (owner.bytes == 0 || owner.owner == "garbage") continue;
    return fmt::format("; the largest owner is {} with {} in {} objects", owner.owner,
                       format_bytes(owner.bytes), grouped_digits(owner.count));
  }
  return {};
}

// Said before the owners: what is unreachable belongs to none of them.
std::string garbage(const Snapshot& snapshot, const snapshot::Owners& owners) {
  std::uint64_t heap = 0;
  std::uint64_t bytes = 0;
  for (const auto& owner : owners.owners) {
    heap += owner.bytes;
    if (owner.owner == "garbage") bytes = owner.bytes;
  }
  if (bytes < kMatters || static_cast<double>(bytes) < kGarbageShare * static_cast<double>(heap)) {
    return {};
  }
  const bool off = std::any_of(snapshot.gc.begin(), snapshot.gc.end(),
                               [](const snapshot::GcSummary& gc) { return !gc.enabled; });
  return fmt::format(", {} of it unreachable: gc.collect() would free that{}", format_bytes(bytes),
                     off ? ", and the collector is switched off" : "");
}

// Freed memory that does not go back, if it is worth a sentence.
std::string pinned(const Snapshot& snapshot, const LedgerParts& parts) {
  const auto bytes = static_cast<std::uint64_t>(ledger_counter(snapshot, "pinned_bytes"));
  if (!matters(bytes, parts.rss)) return {};
  std::string text = fmt::format(
      "freed memory is pinned: {} of free Python memory ({} of RSS) stay because {:.0f} objects of "
      "{} "
      "lie scattered over {:.0f} arenas",
      format_bytes(bytes), share(bytes, parts.rss), ledger_counter(snapshot, "pinning_objects"),
      format_bytes(static_cast<std::uint64_t>(ledger_counter(snapshot, "pinning_bytes"))),
      ledger_counter(snapshot, "pinned_arenas"));
  if (parts.pool_row != nullptr) {
    const auto names = parts.pool_row->note.find('(');
    if (names != std::string::npos) text += " " + parts.pool_row->note.substr(names);
  }
  return text + ". Drop or rebuild what they belong to, or make them before the peak";
}

std::string fragmented(const Snapshot& snapshot, const LedgerParts& parts) {
  const auto bytes = static_cast<std::uint64_t>(ledger_counter(snapshot, "trimmable_bytes"));
  if (!matters(bytes, parts.rss)) return {};
  return fmt::format(
      "malloc is fragmented: {} free, {} of it ({} of RSS) whole pages in {:.0f} arenas. Call "
      "malloc_trim(0) through ctypes at quiet moments, or start with MALLOC_ARENA_MAX=2 or "
      "MALLOC_TRIM_THRESHOLD_=131072",
      format_bytes(parts.malloc_free), format_bytes(bytes), share(bytes, parts.rss),
      ledger_counter(snapshot, "malloc_arenas"));
}

std::string unexplained(const Snapshot& snapshot, const LedgerParts& parts,
                        const std::string& figure) {
  // Files of versions without the counter: their malloc was walked.
  if (ledger_counter(snapshot, "malloc_unwalked") != 0) {
    return fmt::format(
        "native memory: {} lie where an allocator other than glibc's has its blocks, which are not "
        "told apart; Python objects hold {} of it and elsewhere. `memspy record -p {}` names the "
        "lines under which it grows",
        figure, format_bytes(parts.objects), pid_text(snapshot));
  }
  return fmt::format(
      "native memory: {} lie in anonymous mappings of their own, made by native code or by "
      "mmap.mmap(); Python objects hold {}. `memspy record -p {}` names the lines under which it "
      "grows",
      figure, format_bytes(parts.objects), pid_text(snapshot));
}

// What holds most, when nothing is wrong that one look can see.
std::string dominant(const Snapshot& snapshot, const snapshot::Owners& owners,
                     const LedgerParts& parts) {
  const std::uint64_t files = parts.files + parts.shared;
  const std::uint64_t native = parts.unexplained + parts.allocator;
  const std::uint64_t most = std::max({parts.objects, parts.malloc_live, files, parts.code,
                                       parts.free(), parts.stacks, parts.huge, native});
  const std::string figure =
      fmt::format("{} ({} of RSS)", format_bytes(most), share(most, parts.rss));
  if (most == parts.objects) {
    return fmt::format(
        "Python objects hold {}{}{}. Whether they grow, `memspy diff` of two snapshots says", figure,
        garbage(snapshot, owners), biggest_owner(owners));
  }
  if (most == parts.malloc_live) {
    return fmt::format(
        "native memory: {} that C code has allocated and no Python object owns. `memspy record -p "
        "{}` names the lines under which it grows",
        figure, pid_text(snapshot));
  }
  if (most == files) {
    return fmt::format("{}: {}{}; Python objects hold {}",
                       parts.shared > parts.files ? "shared memory" : "files and shared memory",
                       figure,
                       parts.shared > parts.files ? ", which counts in every process that maps it"
                                                  : ", of which the kernel takes back what is clean",
                       format_bytes(parts.objects));
  }
  if (most == parts.code) {
    return fmt::format(
        "steady: {} are the code and data of the interpreter and its libraries; "
        "Python objects hold {}",
        figure, format_bytes(parts.objects));
  }
  if (most == parts.stacks) return fmt::format("threads: their stacks hold {}", figure);
  if (most == parts.huge) {
    return fmt::format(
        "huge pages: {} of them are used by nothing. Set THP to madvise, or start "
        "with GLIBC_TUNABLES=glibc.malloc.hugetlb=0",
        figure);
  }
  if (most == native) return unexplained(snapshot, parts, figure);
  return fmt::format(
      "free memory: {} are free in pymalloc and malloc, to be used again; Python "
      "objects hold {}",
      figure, format_bytes(parts.objects));
}

// Without a ledger (a file of one that was never made): the objects alone.
std::string objects_only(const Snapshot& snapshot, const snapshot::Owners& owners) {
  return fmt::format("Python objects hold {}{}{}", format_bytes(snapshot.graph.total_bytes()),
                     garbage(snapshot, owners), biggest_owner(owners));
}

}  // namespace

std::string verdict_of(const Snapshot& snapshot, const snapshot::Owners& owners) {
  const LedgerParts parts = sum_up_ledger(snapshot);
  if (parts.rss == 0) return objects_only(snapshot, owners);
  // What is wrong leads, unless it is a side show beside what the objects hold.
  std::string wrong = pinned(snapshot, parts);
  std::uint64_t bytes = parts.pool_free;
  if (wrong.empty()) {
    wrong = fragmented(snapshot, parts);
    bytes = parts.malloc_free;
  }
  if (wrong.empty()) return dominant(snapshot, owners, parts);
  if (bytes >= parts.objects / 2) return wrong;
  return dominant(snapshot, owners, parts) + ". Besides, " + wrong;
}

}  // namespace memspy::heap

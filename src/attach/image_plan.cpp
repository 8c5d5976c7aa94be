#include "attach/image_plan.h"

#include <algorithm>
#include <array>

namespace memspy::attach {
namespace {

using procfs::PageRange;

constexpr std::uint64_t kTold =
    procfs::kPageIsPresent | procfs::kPageIsSwapped | procfs::kPageIsZero | procfs::kPageIsHuge;

// Without PAGEMAP_SCAN every page of a mapping costs an entry, resident or not.
constexpr std::uint64_t kMaxEntries = std::uint64_t{1} << 28;  // 1 TiB of addresses
constexpr std::size_t kPlanEntriesAtOnce = 8192;

std::uint64_t categories_of(std::uint64_t entry) {
  return (procfs::page_present(entry) ? std::uint64_t{procfs::kPageIsPresent} : 0) |
         (procfs::page_swapped(entry) ? std::uint64_t{procfs::kPageIsSwapped} : 0) |
         (procfs::page_file_or_shared(entry) ? std::uint64_t{procfs::kPageIsFile} : 0);
}

// Before Linux 6.7: the same ranges from the entries of single pages.
Result<std::vector<PageRange>> read_ranges(const procfs::Pagemap& pagemap, const Mapping& mapping) {
  std::vector<PageRange> ranges;
  if (mapping.size() / procfs::page_size() > kMaxEntries) return ranges;
  std::vector<std::uint64_t> entries(kPlanEntriesAtOnce);
  for (RemoteAddr at = mapping.start; at < mapping.end;) {
    const std::uint64_t left = (mapping.end.value - at.value) / procfs::page_size();
    const auto wanted = std::min<std::uint64_t>(left, entries.size());
    MEMSPY_TRY(got, pagemap.read(at, std::span(entries).first(wanted)));
    if (got == 0) break;
    for (std::size_t i = 0; i < got; ++i, at = at + procfs::page_size()) {
      const std::uint64_t categories = categories_of(entries[i]);
      if ((categories & (procfs::kPageIsPresent | procfs::kPageIsSwapped)) == 0) continue;
      if (!ranges.empty() && ranges.back().end == at && ranges.back().categories == categories)
        ranges.back().end = at + procfs::page_size();
      else
        ranges.push_back({at, at + procfs::page_size(), categories});
    }
  }
  return ranges;
}

class Planner {
 public:
  explicit Planner(const procfs::Pagemap& pagemap) : pagemap_(pagemap) {}
  Result<ImagePlan> make(MemoryMap map);

 private:
  Result<std::vector<PageRange>> ranges_of(const Mapping& mapping);
  void add(const Mapping& mapping, const PageRange& range);
  void add_private(const PageRange& range);
  void add_range(CopyRange range);
  static bool wanted(const Mapping& mapping, std::uint64_t categories);

  const procfs::Pagemap& pagemap_;
  std::vector<std::uint64_t> entries_;
  ImagePlan plan_;
};

Result<ImagePlan> Planner::make(MemoryMap map) {
  plan_.map = std::move(map);
  plan_.pages.reserve(plan_.map.size());
  for (const Mapping& mapping : plan_.map) {
    plan_.pages.push_back({mapping, 0, 0, 0});
    if (mapping.path == "[vsyscall]") continue;  // not in the page tables
    MEMSPY_TRY(ranges, ranges_of(mapping));
    for (const PageRange& range : ranges) add(mapping, range);
    plan_.rss_bytes += plan_.pages.back().rss_bytes;
  }
  return std::move(plan_);
}

Result<std::vector<PageRange>> Planner::ranges_of(const Mapping& mapping) {
  if (plan_.huge_known) {
    // Whether a page is a file's costs the kernel a look at the page itself (0.1 µs, most of the
    // whole scan): not asked where the answer is known.
    const bool anonymous = mapping.anonymous() && !mapping.shared;
    const std::uint64_t told = anonymous ? kTold : kTold | procfs::kPageIsFile;
    auto ranges = pagemap_.scan(mapping.start, mapping.end, 0, told,
                                procfs::kPageIsPresent | procfs::kPageIsSwapped);
    if (ranges.has_value() || ranges.error().code != Errc::kUnsupported) return ranges;
    plan_.huge_known = false;
  }
  return read_ranges(pagemap_, mapping);
}

void Planner::add(const Mapping& mapping, const PageRange& range) {
  MappedPages& pages = plan_.pages.back();
  const bool present = (range.categories & procfs::kPageIsPresent) != 0;
  const bool swapped = (range.categories & procfs::kPageIsSwapped) != 0;
  if (present && (range.categories & procfs::kPageIsZero) == 0) {
    pages.rss_bytes += range.size();
    if ((range.categories & procfs::kPageIsHuge) != 0) pages.huge_bytes += range.size();
  }
  if (swapped) pages.swap_bytes += range.size();
  if (!wanted(mapping, range.categories)) return;
  plan_.copy_bytes += range.size();
  if (swapped) plan_.swap_bytes += range.size();
  if (present && !mapping.shared)
    add_private(range);
  else
    add_range({range.start, range.end});
}

// Split into what this process has alone and what it shares with a relative.
void Planner::add_private(const PageRange& range) {
  entries_.resize(kPlanEntriesAtOnce);
  for (RemoteAddr at = range.start; at < range.end;) {
    const std::uint64_t left = (range.end.value - at.value) / procfs::page_size();
    const auto count = std::min<std::uint64_t>(left, entries_.size());
    const auto got = pagemap_.read(at, std::span(entries_).first(count));
    if (!got.has_value() || *got == 0) return add_range({at, range.end});
    for (std::size_t i = 0; i < *got; ++i, at = at + procfs::page_size()) {
      const bool shared = procfs::page_present(entries_[i]) && !procfs::page_exclusive(entries_[i]);
      add_range({at, at + procfs::page_size(), shared});
    }
  }
}

void Planner::add_range(CopyRange range) {
  if (!plan_.ranges.empty() && plan_.ranges.back().end == range.start &&
      plan_.ranges.back().shared == range.shared)
    plan_.ranges.back().end = range.end;
  else
    plan_.ranges.push_back(range);
}

bool Planner::wanted(const Mapping& mapping, std::uint64_t categories) {
  if (!readable_memory(mapping)) return false;
  const bool file = (categories & procfs::kPageIsFile) != 0;
  if (mapping.shared) return mapping.writable && memory_backed(mapping);
  // The shared page of zeros: a hole says the same. With a file below it says something else.
  if (mapping.anonymous() && (categories & procfs::kPageIsZero) != 0) return false;
  // Relocated data is read-only by now, and differs from its file all the same.
  return !file || mapping.writable;
}

}  // namespace

bool memory_backed(const Mapping& mapping) {
  if (mapping.inode == 0) return true;
  for (const char* prefix : {"/dev/zero", "/SYSV", "/memfd:", "/dev/shm/", "/anon_hugepage"})
    if (mapping.path.starts_with(prefix)) return true;
  return false;
}

bool readable_memory(const Mapping& mapping) {
  if (!mapping.readable || mapping.path.starts_with("[v")) return false;
  return !mapping.path.starts_with("/dev/") || memory_backed(mapping);
}

Result<ImagePlan> plan_image(const procfs::ProcDir& proc, Pid pid, const procfs::Pagemap& pagemap) {
  MEMSPY_TRY(map, proc.maps(pid));
  return Planner(pagemap).make(std::move(map));
}

}  // namespace memspy::attach

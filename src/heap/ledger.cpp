#include "heap/ledger.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "heap/pins.h"
#include "heap/sweep.h"

namespace memspy::heap {
namespace {

using snapshot::LedgerRow;

// Below, a note on a row is noise.
constexpr std::uint64_t kWorthANote = 1 << 20;

struct KindRow {
  Kind kind;
  std::string_view name;
};
constexpr KindRow kKindRows[] = {
    {Kind::kPoolOther, kPoolOtherRow},
    {Kind::kPoolFree, kPoolFreeRow},
    {Kind::kPoolEmpty, kPoolEmptyRow},
    {Kind::kPoolHeader, kPoolHeaderRow},
    {Kind::kMallocLiveMain, kMallocLiveMainRow},
    {Kind::kMallocLiveThreads, kMallocLiveThreadsRow},
    {Kind::kMallocLiveMapped, kMallocLiveMappedRow},
    {Kind::kMallocFreeMain, kMallocFreeMainRow},
    {Kind::kMallocFreeThreads, kMallocFreeThreadsRow},
    {Kind::kMallocHeader, kMallocHeaderRow},
    {Kind::kAllocator, kAllocatorRow},
    {Kind::kData, kDataRow},
    {Kind::kCode, kCodeRow},
    {Kind::kFiles, kFilesRow},
    {Kind::kStacks, kStacksRow},
    {Kind::kShared, kSharedRow},
    {Kind::kHuge, kHugeRow},
    {Kind::kAnonymous, kAnonymousRow},
    {Kind::kUnexplained, kUnexplainedRow},
};

class RowBuilder {
 public:
  RowBuilder(const LedgerInput& input, Sweep sweep)
      : in_(input), sweep_(std::move(sweep)), pins_(find_pins(input, sweep_.arenas)) {}

  Ledger build();

 private:
  void add_types(const std::vector<std::uint64_t>& bytes, std::string_view prefix);
  std::string note_of(Kind kind) const;
  std::string pool_note() const;
  std::string malloc_free_note(Kind kind) const;
  void balance();
  void add_counters();

  const LedgerInput& in_;
  Sweep sweep_;
  Pins pins_;
  Ledger ledger_;
};

// The largest types by name; the others together.
void RowBuilder::add_types(const std::vector<std::uint64_t>& bytes, std::string_view prefix) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t type = 0; type < bytes.size(); ++type) {
    if (bytes[type] != 0) order.push_back(type);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return bytes[a] > bytes[b]; });
  std::uint64_t others = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i >= kNamedTypes) {
      others += bytes[order[i]];
      continue;
    }
    const std::string_view name = short_type_name(in_.graph.types()[order[i]].name);
    ledger_.rows.push_back({fmt::format("{}{}", prefix, name), bytes[order[i]], {}});
  }
  if (others != 0) {
    ledger_.rows.push_back(
        {fmt::format("{}{} other types", prefix, order.size() - kNamedTypes), others, {}});
  }
}

std::string RowBuilder::pool_note() const {
  if (pins_.free_bytes < kWorthANote) return {};
  std::string note = fmt::format("{} of it in {} arenas that are nearly empty, kept by {} objects",
                                 format_bytes(pins_.free_bytes), pins_.arenas, pins_.objects);
  if (!pins_.types.empty()) note += fmt::format(" ({})", pins_.types);
  if (!pins_.owners.empty()) note += fmt::format(" of {}", pins_.owners);
  return note;
}

// On the larger of the two: what malloc_trim() gives back is counted for all arenas together.
std::string RowBuilder::malloc_free_note(Kind kind) const {
  const auto& totals = in_.malloc.totals();
  const bool threads = sweep_[Kind::kMallocFreeThreads] > sweep_[Kind::kMallocFreeMain];
  if (totals.trimmable_bytes < kWorthANote || threads != (kind == Kind::kMallocFreeThreads))
    return {};
  return fmt::format("{} are whole pages that malloc_trim(0) would give back; {} arenas",
                     format_bytes(totals.trimmable_bytes), totals.arenas);
}

std::string RowBuilder::note_of(Kind kind) const {
  const bool empty_pools = sweep_[Kind::kPoolEmpty] > sweep_[Kind::kPoolFree];
  switch (kind) {
    case Kind::kPoolFree:
      return empty_pools ? std::string() : pool_note();
    case Kind::kPoolEmpty:
      return empty_pools ? pool_note() : std::string();
    case Kind::kMallocFreeMain:
    case Kind::kMallocFreeThreads:
      return malloc_free_note(kind);
    case Kind::kMallocLiveMain:
    case Kind::kMallocLiveThreads:
    case Kind::kMallocLiveMapped:
      return "of no Python object";
    case Kind::kAllocator:
      return "not told apart; Python objects in it have rows of their own";
    case Kind::kStacks:
      return fmt::format("the main thread's and {} others'", sweep_.stacks);
    case Kind::kFiles:
    case Kind::kShared:
      if (sweep_.largest_file_bytes < kWorthANote || sweep_.largest_file_bytes > sweep_[kind]) {
        return {};
      }
      return fmt::format("largest: {} {}", sweep_.largest_file,
                         format_bytes(sweep_.largest_file_bytes));
    case Kind::kUnexplained: {
      std::string note;
      if (!in_.malloc.totals().walked) {
        note = fmt::format("{} serves malloc here and is not told apart; ",
                           in_.malloc.totals().allocator);
      }
      return note + fmt::format("largest: {} {}", sweep_.largest_unexplained,
                                format_bytes(sweep_.largest_unexplained_bytes));
    }
    default:
      return {};
  }
}

// What the kernel counts and what its mappings say may differ by a little, and pages that are
// swapped out were claimed although they are not resident: the rows give way where least is known.
void RowBuilder::balance() {
  const std::uint64_t rss = in_.rss_bytes != 0 ? in_.rss_bytes : sweep_.mapped_bytes;
  std::uint64_t sum = 0;
  for (const LedgerRow& row : ledger_.rows) sum += row.bytes;
  if (sum < rss) {
    if (ledger_.rows.empty() || ledger_.rows.back().row != kUnexplainedRow) {
      ledger_.rows.push_back({std::string(kUnexplainedRow), 0, {}});
    }
    ledger_.rows.back().bytes += rss - sum;
    return;
  }
  std::uint64_t excess = sum - rss;
  for (auto row = ledger_.rows.rbegin(); row != ledger_.rows.rend() && excess != 0; ++row) {
    const std::uint64_t less = std::min(excess, row->bytes);
    row->bytes -= less;
    excess -= less;
  }
  std::erase_if(ledger_.rows, [](const LedgerRow& row) { return row.bytes == 0; });
}

void RowBuilder::add_counters() {
  const auto add = [&](const char* name, std::uint64_t value) {
    ledger_.counters.emplace_back(name, static_cast<double>(value));
  };
  const auto& totals = in_.malloc.totals();
  add("malloc_arenas", totals.arenas);
  add("malloc_unwalked", totals.walked ? 0 : 1);
  add("malloc_chunks", totals.chunks);
  add("malloc_rejected", totals.rejected);
  add("trimmable_bytes", totals.trimmable_bytes);
  add("pymalloc_arenas", sweep_.arenas.size());
  add("pinned_arenas", pins_.arenas);
  add("pinned_bytes", pins_.free_bytes);
  add("pinning_bytes", pins_.live_bytes);
  add("pinning_objects", pins_.objects);
  add("swapped_bytes", sweep_.overdrawn);
}

Ledger RowBuilder::build() {
  add_types(sweep_.objects, kLiveRow);
  add_types(sweep_.buffers, kBuffersRow);
  for (const KindRow& row : kKindRows) {
    const std::uint64_t bytes = sweep_[row.kind];
    if (bytes == 0) continue;
    std::string name(row.name);
    if (row.kind == Kind::kAllocator) name.insert(0, in_.malloc.totals().allocator);
    ledger_.rows.push_back({std::move(name), bytes, note_of(row.kind)});
  }
  balance();
  add_counters();
  return std::move(ledger_);
}

}  // namespace

Ledger build_ledger(const LedgerInput& input, Sweep sweep) {
  return RowBuilder(input, std::move(sweep)).build();
}

Ledger build_ledger(const LedgerInput& input) { return build_ledger(input, sweep_memory(input)); }

}  // namespace memspy::heap

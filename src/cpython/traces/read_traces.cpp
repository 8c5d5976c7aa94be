#include "cpython/traces/read_traces.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "cpython/remote_fields.h"
#include "cpython/traces/trace_stacks.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kWord = 8;
constexpr std::uint64_t kMaxDomains = 4096;
// Static variables of one file lie side by side: the others are within so many bytes of `traces`.
constexpr std::uint64_t kNeighbourhood = 256;

// What malloc takes for a request: a header of 8 bytes, multiples of 16, 32 at least.
std::uint64_t chunk_bytes(std::uint64_t size) {
  return std::max<std::uint64_t>(32, (size + 8 + 15) / 16 * 16);
}

class Reader {
 public:
  explicit Reader(const TraceInput& input)
      : input_(input),
        layout_(input.interpreter.layout()),
        bytes_(input.memory),
        memory_bytes_(writable_bytes_of(input.map)),
        stacks_(layout_, bytes_, memory_bytes_, table_) {}

  Result<std::optional<TraceTable>> read(std::string* evidence);

 private:
  void walk(RemoteAddr address, std::uint32_t domain);
  void walk_domains(RemoteAddr variable);
  bool leads_to_domains(RemoteAddr variable);
  void ask_neighbours(TracePlace& place);
  void read_totals(const TracePlace& place);
  void add(const HashEntry& entry, std::uint32_t domain);
  std::uint64_t cost_of(const HashTable& table, std::uint64_t entries) const;
  std::uint64_t cost_of_stacks() const;

  const TraceInput& input_;
  const Layout& layout_;
  HeapBytes bytes_;
  std::uint64_t memory_bytes_;
  TraceTable table_;
  TraceStacks stacks_;
};

void Reader::add(const HashEntry& entry, std::uint32_t domain) {
  const auto raw = read_trace(bytes_, layout_, entry.data);
  if (!raw) {
    ++table_.damage.traces;
    return;
  }
  const std::uint32_t stack = stacks_.read(raw->stack);
  if (stacks_.is_unreadable(stack)) ++table_.damage.stacks;
  table_.traces.push_back({{entry.key}, raw->bytes, stack, domain != 0 ? domain : entry.domain});
  table_.traced_bytes += raw->bytes;
}

std::uint64_t Reader::cost_of(const HashTable& table, std::uint64_t entries) const {
  const std::uint64_t entry =
      layout_.size(Struct::kHashtableEntry) + table.key_bytes + table.data_bytes;
  std::uint64_t each = chunk_bytes(entry);
  if (table.data_bytes == 0) each += chunk_bytes(layout_.size(Struct::kTrace));
  return chunk_bytes(table.buckets * kWord) + entries * each;
}

// Each is kept by an entry of a table of its own, which is half full.
std::uint64_t Reader::cost_of_stacks() const {
  constexpr std::uint64_t kEntry = 32 + 2 * kWord;
  std::uint64_t bytes = 0;
  for (const TraceStack& stack : table_.stacks)
    bytes += kEntry + chunk_bytes(layout_.offset(Field::kTraceStackFrames) +
                                  stack.count * std::uint64_t{layout_.size(Struct::kTraceFrame)});
  return bytes;
}

void Reader::walk(RemoteAddr address, std::uint32_t domain) {
  const auto head = read_hash_table(bytes_, layout_, address, memory_bytes_);
  if (!head) {
    ++table_.damage.broken_chains;
    return;
  }
  table_.claimed += head->count;
  const HashWalk walked = walk_hash_table(bytes_, layout_, *head, [&](const HashEntry& entry) {
    add(entry, domain);
    return true;
  });
  table_.damage.broken_chains += walked.broken_chains + (walked.cut ? 1 : 0);
  table_.own_bytes += cost_of(*head, walked.entries);
  if (head->count > walked.entries) table_.damage.missing += head->count - walked.entries;
}

// 3.9+: domain -> its own table of traces.
void Reader::walk_domains(RemoteAddr variable) {
  if (layout_.strategies.hashtable != HashtableKind::kPointerEntries || !variable) return;
  const auto head = read_hash_table(bytes_, layout_, bytes_.pointer(variable), memory_bytes_);
  if (!head || head->count == 0 || head->count > kMaxDomains) return;
  std::vector<std::pair<std::uint32_t, RemoteAddr>> domains;
  walk_hash_table(bytes_, layout_, *head, [&](const HashEntry& entry) {
    domains.emplace_back(static_cast<std::uint32_t>(entry.key), entry.data);
    return domains.size() < kMaxDomains;
  });
  for (const auto& [domain, table] : domains) walk(table, domain);
}

// A table of tables of traces. Empty ones look like any other, and need not be told apart.
bool Reader::leads_to_domains(RemoteAddr variable) {
  const auto head = read_hash_table(bytes_, layout_, bytes_.pointer(variable), memory_bytes_);
  if (!head || head->count == 0 || head->count > kMaxDomains) return false;
  bool all = true;
  const HashWalk walked = walk_hash_table(bytes_, layout_, *head, [&](const HashEntry& entry) {
    all = holds_traces(input_, bytes_, entry.data, memory_bytes_, Trust::kFound);
    return all;
  });
  return all && walked.entries == head->count && walked.broken_chains == 0;
}

// A stripped file names none of the variables, but the sum of what was read is known: the word that
// equals it, beside one that is not smaller, is the total beside its peak.
void Reader::ask_neighbours(TracePlace& place) {
  const RemoteAddr first = place.traces - kNeighbourhood;
  const auto each = [&](auto&& found) {
    for (std::uint64_t at = 0; at <= 2 * kNeighbourhood; at += kWord)
      if (found(first + at)) return first + at;
    return RemoteAddr{};
  };
  if (layout_.strategies.hashtable == HashtableKind::kPointerEntries) {
    place.domains = each([&](RemoteAddr at) { return leads_to_domains(at); });
    walk_domains(place.domains);
  }
  if (table_.traced_bytes == 0) return;
  const auto is_peak = [&](RemoteAddr at) {
    const std::uint64_t word = bytes_.word(at);
    return word >= table_.traced_bytes && word <= memory_bytes_;
  };
  place.current = each([&](RemoteAddr at) {
    return bytes_.word(at) == table_.traced_bytes && (is_peak(at - kWord) || is_peak(at + kWord));
  });
  if (!place.current) return;
  // Compilers lay the variables out backwards: the peak, declared behind it, comes before.
  place.peak = is_peak(place.current - kWord) ? place.current - kWord : place.current + kWord;
}

void Reader::read_totals(const TracePlace& place) {
  if (place.current) table_.current_bytes = bytes_.word(place.current);
  if (place.peak) table_.peak_bytes = bytes_.word(place.peak);
  if (place.config)
    table_.frame_limit = static_cast<std::uint32_t>(
        bytes_.load(place.config + layout_.offset(Field::kTraceConfigFrameLimit), 4));
}

Result<std::optional<TraceTable>> Reader::read(std::string* evidence) {
  MEMSPY_TRY(place, find_traces(input_, bytes_, memory_bytes_));
  if (evidence != nullptr) *evidence = place.found_by;
  if (place.torn) {
    return make_error(Errc::kCorrupt,
                      "tracemalloc is on, but its table was being changed when it was looked at");
  }
  if (!place.tracing) return std::optional<TraceTable>();
  table_.found_by = place.found_by;
  walk(bytes_.pointer(place.traces), 0);
  if (place.nameless) {
    ask_neighbours(place);
  } else {
    walk_domains(place.domains);
  }
  read_totals(place);
  table_.own_bytes += cost_of_stacks();
  return std::optional(std::move(table_));
}

}  // namespace

Result<std::optional<TraceTable>> read_traces(const TraceInput& input, std::string* evidence) {
  return Reader(input).read(evidence);
}

}  // namespace memspy::cpython

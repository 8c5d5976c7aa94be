#include "cpython/traces/hash_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_set>

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kWord = 8;
constexpr std::size_t kBucketsPerRead = 8192;
// uintptr_t, or with the domain behind it (packed: 12; 16 where a compiler pads it).
constexpr std::uint64_t kShortKey = 8, kLongestKey = 16;
constexpr std::uint64_t kMaxData = 64;

// The entries of one chain so far. Nearly all chains are of one or two; addresses at large strides
// may share one all the same, so length alone proves nothing.
class ChainSoFar {
 public:
  // False when `entry` was there before: the chain is a ring.
  bool add(RemoteAddr entry) {
    if (length_ < few_.size()) {
      const auto so_far = std::span(few_).first(length_);
      if (std::find(so_far.begin(), so_far.end(), entry) != so_far.end()) return false;
      few_[length_++] = entry;
      return true;
    }
    if (many_.empty()) many_.insert(few_.begin(), few_.end());
    return many_.insert(entry).second;
  }
  void clear() {
    length_ = 0;
    many_.clear();
  }

 private:
  std::array<RemoteAddr, 16> few_{};
  std::size_t length_ = 0;
  std::unordered_set<RemoteAddr> many_;
};

class Walker {
 public:
  Walker(HeapBytes& bytes, const Layout& layout, const HashTable& table,
         const std::function<bool(const HashEntry&)>& visit)
      : bytes_(bytes),
        layout_(layout),
        table_(table),
        visit_(visit),
        entry_bytes_(layout.size(Struct::kHashtableEntry) +
                     (inlined() ? table.key_bytes + table.data_bytes : 0)) {}

  HashWalk run();

 private:
  bool inlined() const { return layout_.strategies.hashtable == HashtableKind::kInlineEntries; }
  bool follow(std::uint64_t bucket, RemoteAddr head);
  HashEntry entry_at(RemoteAddr address, std::span<const std::byte> found) const;
  std::uint64_t get(std::span<const std::byte> found, Field field) const {
    return load(found, layout_.offset(field), kWord).value_or(0);
  }

  HeapBytes& bytes_;
  const Layout& layout_;
  const HashTable& table_;
  const std::function<bool(const HashEntry&)>& visit_;
  std::size_t entry_bytes_;
  ChainSoFar chain_;
  HashWalk walk_;
};

HashEntry Walker::entry_at(RemoteAddr address, std::span<const std::byte> found) const {
  HashEntry entry;
  if (!inlined()) {
    entry.key = get(found, Field::kHashtableEntryKey);
    entry.data = {get(found, Field::kHashtableEntryValue)};
    return entry;
  }
  const std::size_t key_at = layout_.size(Struct::kHashtableEntry);
  entry.key = load(found, key_at, kWord).value_or(0);
  if (table_.key_bytes > kShortKey)
    entry.domain = static_cast<std::uint32_t>(load(found, key_at + kShortKey, 4).value_or(0));
  entry.data = address + key_at + table_.key_bytes;
  return entry;
}

// An entry belongs into the bucket that its hash says: so no two chains share one, and what is
// walked is never more than what lies in memory. False: enough.
bool Walker::follow(std::uint64_t bucket, RemoteAddr head) {
  chain_.clear();
  for (RemoteAddr at = head; at;) {
    const auto found =
        is_plausible(at) ? bytes_.bytes(at, entry_bytes_) : std::span<const std::byte>{};
    const bool here =
        !found.empty() && (get(found, Field::kHashtableEntryHash) & (table_.buckets - 1)) == bucket;
    if (!here || !chain_.add(at)) {
      ++walk_.broken_chains;
      return true;
    }
    const RemoteAddr next{get(found, Field::kHashtableEntryNext)};
    // An entry is linked before it is counted: at a stop in between there is one more.
    if (walk_.entries > table_.count) return false;
    ++walk_.entries;
    if (!visit_(entry_at(at, found))) return false;
    at = next;
  }
  return true;
}

HashWalk Walker::run() {
  std::vector<std::uint64_t> heads;
  for (std::uint64_t bucket = 0; bucket < table_.buckets;) {
    const std::size_t count =
        static_cast<std::size_t>(std::min<std::uint64_t>(kBucketsPerRead, table_.buckets - bucket));
    heads.assign(count, 0);
    const auto found = bytes_.bytes(table_.first_bucket + bucket * kWord, count * kWord);
    if (found.empty()) {  // the array ends before it should
      ++walk_.broken_chains;
      return walk_;
    }
    std::memcpy(heads.data(), found.data(), found.size());
    for (std::size_t i = 0; i < count; ++i) {
      if (heads[i] == 0) continue;
      if (follow(bucket + i, {heads[i]})) continue;
      walk_.cut = true;
      return walk_;
    }
    bucket += count;
  }
  return walk_;
}

}  // namespace

std::optional<HashTable> read_hash_table(HeapBytes& bytes, const Layout& layout, RemoteAddr address,
                                         std::uint64_t memory_bytes) {
  if (!is_plausible(address)) return std::nullopt;
  const auto found = bytes.bytes(address, layout.size(Struct::kHashtable));
  if (found.empty()) return std::nullopt;
  const auto get = [&](Field field) {
    return load(found, layout.offset(field), kWord).value_or(0);
  };
  HashTable table;
  table.address = address;
  table.count = get(Field::kHashtableCount);
  table.buckets = get(Field::kHashtableBucketCount);
  table.first_bucket = {get(Field::kHashtableBuckets)};
  table.hash = {get(Field::kHashtableHash)};
  table.compare = {get(Field::kHashtableCompare)};
  if (!std::has_single_bit(table.buckets) || table.buckets > memory_bytes / kWord)
    return std::nullopt;
  if (table.count > memory_bytes / layout.size(Struct::kHashtableEntry)) return std::nullopt;
  if (!is_plausible(table.first_bucket)) return std::nullopt;
  if (layout.strategies.hashtable == HashtableKind::kInlineEntries) {
    const std::uint64_t key = get(Field::kHashtableKeySize), data = get(Field::kHashtableDataSize);
    if (key < kShortKey || key > kLongestKey || data > kMaxData) return std::nullopt;
    table.key_bytes = static_cast<std::uint32_t>(key);
    table.data_bytes = static_cast<std::uint32_t>(data);
  }
  return table;
}

HashWalk walk_hash_table(HeapBytes& bytes, const Layout& layout, const HashTable& table,
                         const std::function<bool(const HashEntry&)>& visit) {
  return Walker(bytes, layout, table, visit).run();
}

}  // namespace memspy::cpython

#include "support/trace_image.h"

#include <algorithm>
#include <stdexcept>

#include "support/py_image_builder.h"

namespace memspy::testing {
namespace {

using cpython::Field;
using cpython::HashtableKind;
using cpython::Struct;
using cpython::TraceFilenameKind;
using cpython::TracesPlace;

constexpr RemoteAddr kCode{0x400000};  // where the tables' functions would be
constexpr std::uint64_t kCodeBytes = 0x1000;
// Static variables of one file, in the order in which compilers lay them out.
constexpr std::uint64_t kDomains = 64, kTraces = 72, kPeak = 104, kCurrent = 112, kStatics = 256;
constexpr std::uint64_t kDecoys = 128;          // from here on
constexpr std::uint64_t kBuildDifference = 24;  // 3.13.0 and 3.13.18 differ by so much

std::uint64_t hash_of(std::uint64_t pointer) { return pointer >> 4 | pointer << 60; }

}  // namespace

TraceImage::TraceImage(PyProcess& process, std::uint64_t buckets, bool long_keys)
    : process_(process),
      image_(process.image()),
      layout_(process.image().layout()),
      buckets_(buckets),
      key_bytes_(long_keys ? 12 : 8) {
  table_ = add_table(0);
  domains_ = add_table(0);
  statics_ = image_.allocate(kStatics);
  process_.module().writable.push_back({statics_, kStatics});
  if (layout_.strategies.traces_place == TracesPlace::kRuntime) {
    place_state(image_.runtime() + layout_.offset(Field::kRuntimeTracemalloc));
  } else {
    config_ = image_.allocate(layout_.size(Struct::kTraceConfig));
    current_ = statics_ + kCurrent;
    peak_ = statics_ + kPeak;
    process_.memory().write(statics_ + kTraces, table_.value);
    process_.memory().write(statics_ + kDomains, inlined() ? 0 : domains_.value);
    names_ = {{"tracemalloc_traces", statics_ + kTraces},
              {"tracemalloc_traced_memory", current_},
              {"tracemalloc_peak_traced_memory", peak_},
              {layout_.minor < 8 ? "tracemalloc_config" : "_Py_tracemalloc_config", config_}};
    if (!inlined()) names_.emplace_back("tracemalloc_domains", statics_ + kDomains);
    for (const auto& [name, address] : names_) process_.module().symbols[name] = address;
  }
  set_tracing(true);
}

bool TraceImage::inlined() const {
  return layout_.strategies.hashtable == HashtableKind::kInlineEntries;
}

void TraceImage::place_state(RemoteAddr state) {
  image_.put(state, Field::kTracemallocTraces, table_.value);
  image_.put(state, Field::kTracemallocDomains, domains_.value);
  config_ = state + layout_.offset(Field::kTracemallocConfig);
  current_ = state + layout_.offset(Field::kTracemallocBytes);
  peak_ = state + layout_.offset(Field::kTracemallocPeak);
}

void TraceImage::set_tracing(bool on) {
  process_.memory().write(config_, std::uint32_t{1});
  image_.put(config_, Field::kTraceConfigTracing, on ? 1 : 0);
  image_.put(config_, Field::kTraceConfigFrameLimit, 25);
}

void TraceImage::write_totals() {
  process_.memory().write(current_, total_);
  process_.memory().write(peak_, peak());
}

void TraceImage::strip() {
  if (layout_.strategies.traces_place == TracesPlace::kStatics) {
    for (const auto& [name, address] : names_) process_.module().symbols.erase(name);
    return;
  }
  const RemoteAddr usual = image_.runtime() + layout_.offset(Field::kRuntimeTracemalloc);
  const std::vector<std::byte> nothing(layout_.size(Struct::kTracemalloc));
  process_.memory().write_bytes(usual, nothing);
  place_state(usual + kBuildDifference);
  set_tracing(true);
  write_totals();
}

void TraceImage::add_decoy(RemoteAddr table) {
  process_.memory().write(statics_ + kDecoys + kWord * decoys_++, table.value);
}

RemoteAddr TraceImage::add_table(std::uint64_t count) {
  const RemoteAddr table = image_.allocate(layout_.size(Struct::kHashtable));
  image_.put(table, Field::kHashtableCount, count);
  image_.put(table, Field::kHashtableBucketCount, buckets_);
  image_.put(table, Field::kHashtableBuckets, image_.allocate(buckets_ * kWord).value);
  image_.put(table, Field::kHashtableKeySize, key_bytes_);
  image_.put(table, Field::kHashtableDataSize, layout_.size(Struct::kTrace));
  image_.put(table, Field::kHashtableHash, (kCode + 0x100).value);
  image_.put(table, Field::kHashtableCompare, (kCode + 0x200).value);
  return table;
}

RemoteAddr TraceImage::link(RemoteAddr table, std::uint64_t hash, std::size_t bytes) {
  const RemoteAddr entry = image_.allocate(bytes);
  const RemoteAddr bucket =
      RemoteAddr{image_.get(table, Field::kHashtableBuckets)} + (hash & (buckets_ - 1)) * kWord;
  const auto next = read<std::uint64_t>(process_.memory(), bucket);
  image_.put(entry, Field::kHashtableEntryNext, next ? *next : 0);
  image_.put(entry, Field::kHashtableEntryHash, hash);
  process_.memory().write(bucket, entry.value);
  image_.put(table, Field::kHashtableCount, image_.get(table, Field::kHashtableCount) + 1);
  return entry;
}

RemoteAddr TraceImage::table_of(std::uint32_t domain) {
  if (domain == 0 || inlined()) return table_;
  for (const auto& [known, table] : tables_)
    if (known == domain) return table;
  const RemoteAddr table = add_table(0);
  tables_.emplace_back(domain, table);
  const RemoteAddr entry = link(domains_, domain, layout_.size(Struct::kHashtableEntry));
  image_.put(entry, Field::kHashtableEntryKey, domain);
  image_.put(entry, Field::kHashtableEntryValue, table.value);
  return table;
}

RemoteAddr TraceImage::add_stack(const TraceFrames& frames, std::uint32_t depth) {
  const std::uint64_t frame_bytes = layout_.size(Struct::kTraceFrame);
  const std::uint64_t first = layout_.offset(Field::kTraceStackFrames);
  const RemoteAddr stack = image_.allocate(first + frames.size() * frame_bytes);
  image_.put(stack, Field::kTraceStackFrameCount, frames.size());
  image_.put(stack, Field::kTraceStackTotal, std::max<std::uint64_t>(depth, frames.size()));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto& [file, line] = frames[i];
    RemoteAddr name;
    if (layout_.strategies.trace_filenames == TraceFilenameKind::kCString) {
      name = image_.allocate(file.size() + 1);
      process_.memory().write_bytes(name, std::as_bytes(std::span(file.c_str(), file.size() + 1)));
    } else {
      name = image_.add_str(std::string_view(file));
    }
    image_.put(stack + first + i * frame_bytes, Field::kTraceFrameFilename, name.value);
    image_.put(stack + first + i * frame_bytes, Field::kTraceFrameLine, line);
  }
  return stack;
}

std::uint64_t TraceImage::bucket_of(RemoteAddr block, std::uint32_t domain) const {
  return (hash_of(block.value) ^ (inlined() ? domain : 0)) & (buckets_ - 1);
}

RemoteAddr TraceImage::bucket(std::uint64_t number) const {
  return RemoteAddr{image_.get(table_, Field::kHashtableBuckets)} + number * kWord;
}

RemoteAddr TraceImage::data_of(RemoteAddr entry) const {
  if (inlined()) return entry + layout_.size(Struct::kHashtableEntry) + key_bytes_;
  return {image_.get(entry, Field::kHashtableEntryValue)};
}

RemoteAddr TraceImage::add(RemoteAddr block, std::uint64_t bytes, RemoteAddr stack,
                           std::uint32_t domain) {
  const std::uint64_t trace_bytes = layout_.size(Struct::kTrace);
  const std::uint64_t hash = hash_of(block.value) ^ (inlined() ? domain : 0);
  const RemoteAddr entry =
      link(table_of(domain), hash,
           layout_.size(Struct::kHashtableEntry) + (inlined() ? key_bytes_ + trace_bytes : 0));
  if (inlined()) {
    const RemoteAddr key = entry + layout_.size(Struct::kHashtableEntry);
    process_.memory().write(key, block.value);
    if (key_bytes_ > kWord) process_.memory().write(key + kWord, domain);
  } else {
    image_.put(entry, Field::kHashtableEntryKey, block.value);
    image_.put(entry, Field::kHashtableEntryValue, image_.allocate(trace_bytes).value);
  }
  image_.put(data_of(entry), Field::kTraceBytes, bytes);
  image_.put(data_of(entry), Field::kTraceStack, stack.value);
  total_ += bytes;
  write_totals();
  return entry;
}

MemoryMap TraceImage::map() {
  Mapping code;
  code.start = kCode, code.end = kCode + kCodeBytes;
  code.readable = code.executable = true;
  MemoryMap map{code};
  const MemoryMap others = process_.map_of_everything();
  map.insert(map.end(), others.begin(), others.end());
  return map;
}

cpython::Interpreter TraceImage::open() {
  auto found = cpython::Interpreter::open(process_.memory(), process_.map(), process_.symbols(), {},
                                          nullptr);
  if (!found) throw std::runtime_error(describe(found.error()));
  return std::move(*found);
}

}  // namespace memspy::testing

// Edges of the containers: dict, OrderedDict, list, tuple, set, deque.
#include <algorithm>

#include "cpython/heap/edge_reader.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kWord = 8;
constexpr std::uint64_t kChunkWords = 32768;  // of an array at a time, where it has to be read
constexpr std::uint64_t kMaxItems = std::uint64_t{1} << 40;
constexpr std::uint64_t kMaxLog2Size = 40;
constexpr std::uint64_t kMaxLinked = 1 << 26;   // entries of a list that may be a ring
constexpr std::uint64_t kMaxSplitKeys = 65536;  // CPython shares up to 30; up to 3.10 more
constexpr std::uint64_t kDequeBlockItems = 64;
constexpr std::uint64_t kDummyHash = ~std::uint64_t{0};  // of a set's deleted entry

std::uint64_t index_bytes_of(std::uint64_t size) {
  const std::uint64_t width = size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8;
  return size * width;
}

}  // namespace

// `value`: of each edge, or of the first where they are numbered: by item, or by byte.
void EdgeReader::read_array(RemoteAddr first, std::uint64_t count, EdgeKind kind,
                            std::uint64_t value, Edges& out) {
  if (count == 0 || count > kMaxItems || !is_plausible(first)) return;
  const std::uint64_t step = kind == EdgeKind::kIndex ? 1 : kind == EdgeKind::kWord ? kWord : 0;
  count = affordable(count);
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t words = std::min(count - done, kChunkWords);
    const Bytes chunk = bodies_.bytes(first + done * kWord, words * kWord);
    if (chunk.empty()) return;
    pay(words);
    for (std::uint64_t i = 0; i < words; ++i, value += step) {
      add(out, word_at(chunk, i * kWord), kind, value);
    }
    done += words;
    if (kind == EdgeKind::kIndex) spill(out);
  }
}

void EdgeReader::read_dict(Bytes head, Edges& out) {
  const RemoteAddr values{field(head, Field::kDictValues)};
  const auto table = key_table(RemoteAddr{field(head, Field::kDictKeys)});
  if (!table) return;
  if (!values) {
    read_entries(*table, out);
    return;
  }
  if (layout_.has(Field::kDictValuesEmbedded) && !layout_.strategies.dicts_own_embedded_values &&
      others_.load(values + layout_.offset(Field::kDictValuesEmbedded), 1) != 0) {
    return;  // the instance that they lie in tells of them
  }
  read_split(*table, values, out);
}

std::optional<EdgeReader::KeyTable> EdgeReader::key_table(RemoteAddr keys) {
  if (!is_plausible(keys)) return std::nullopt;
  const Bytes head = bodies_.bytes(keys, layout_.offset(Field::kDictKeysIndices));
  if (head.empty()) return std::nullopt;
  KeyTable table;
  std::uint64_t slots = 0, index_bytes = 0;
  if (layout_.strategies.dict_keys == DictKeysKind::kFullEntries) {
    slots = field(head, Field::kDictKeysSize);
    if (slots > (std::uint64_t{1} << kMaxLog2Size)) return std::nullopt;
    index_bytes = index_bytes_of(slots);
  } else {
    const std::uint64_t log2_size = field(head, Field::kDictKeysLog2Size);
    const std::uint64_t log2_bytes = field(head, Field::kDictKeysLog2IndexBytes);
    if (log2_size > kMaxLog2Size || log2_bytes > kMaxLog2Size + 3) return std::nullopt;
    slots = std::uint64_t{1} << log2_size;
    index_bytes = std::uint64_t{1} << log2_bytes;
    if (field(head, Field::kDictKeysKind) != 0) {  // {key, value}: a str knows its hash
      table.entry_size = 2 * kWord;
      table.key_at = 0;
    }
  }
  table.count = field(head, Field::kDictKeysEntryCount);
  if (table.count > slots) return std::nullopt;
  table.entries = keys + layout_.offset(Field::kDictKeysIndices) + index_bytes;
  return table;
}

// Of a table of its own.
void EdgeReader::read_entries(const KeyTable& table, Edges& out) {
  const std::uint64_t count = affordable(table.count * 2) / 2;
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t number = std::min(count - done, kChunkWords / 2);
    const Bytes entries =
        bodies_.bytes(table.entries + done * table.entry_size, number * table.entry_size);
    if (entries.empty()) return;
    pay(number * 2);
    for (std::uint64_t i = 0; i < number; ++i) {
      const std::uint64_t at = i * table.entry_size + table.key_at;
      const std::uint64_t key = word_at(entries, at), value = word_at(entries, at + kWord);
      if (value == 0) continue;  // deleted
      add(out, key, EdgeKind::kKeyItself, key);
      add(out, value, EdgeKind::kKey, key);
    }
    done += number;
    spill(out);
  }
}

// Of a table that instances share: the keys are the table's, which the type keeps.
void EdgeReader::read_split(const KeyTable& table, RemoteAddr values, Edges& out) {
  if (!is_plausible(values)) return;
  std::uint64_t count = table.count;
  if (layout_.has(Field::kDictValuesCapacity)) {
    const std::uint64_t capacity =
        others_.load(values + layout_.offset(Field::kDictValuesCapacity), 1);
    count = std::min(count, capacity);
  }
  count = affordable(std::min(count, kMaxSplitKeys));
  if (count == 0) return;
  const RemoteAddr first = values + layout_.offset(Field::kDictValuesItems);  // 0 up to 3.12
  const Bytes entries = bodies_.bytes(table.entries, count * table.entry_size);
  const Bytes items = others_.bytes(first, count * kWord);
  if (entries.empty() || items.empty()) return;
  pay(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    add(out, word_at(items, i * kWord), EdgeKind::kKey,
        word_at(entries, i * table.entry_size + table.key_at));
  }
}

void EdgeReader::read_shared_keys(RemoteAddr keys, std::vector<RawEdge>& out) {
  const auto table = key_table(keys);
  if (!table) return;
  const std::uint64_t count = affordable(std::min(table->count, kMaxSplitKeys));
  const Bytes entries = bodies_.bytes(table->entries, count * table->entry_size);
  pay(entries.empty() ? 0 : count);
  for (std::uint64_t i = 0; i < count && !entries.empty(); ++i) {
    add(out, word_at(entries, i * table->entry_size + table->key_at), EdgeKind::kInternal,
        names_.attribute_name.value);
  }
}

// An OrderedDict's own list of keys; its items are those of a dict.
void EdgeReader::read_ordered_nodes(Bytes head, Edges& out) {
  RemoteAddr node{field(head, Field::kOrderedDictFirst)};
  const std::uint64_t count = affordable(std::min(field(head, Field::kDictUsed), kMaxLinked));
  const std::size_t size = layout_.size(Struct::kOrderedNode);
  for (std::uint64_t i = 0; i < count && is_plausible(node); ++i) {
    const Bytes bytes = bodies_.bytes(node, size);
    if (bytes.empty()) return;
    pay(1);
    const std::uint64_t key = field(bytes, Field::kOrderedNodeKey);
    add(out, key, EdgeKind::kKeyItself, key);
    node = RemoteAddr{field(bytes, Field::kOrderedNodeNext)};
  }
}

void EdgeReader::read_set(Bytes head, Edges& out) {
  const RemoteAddr table{field(head, Field::kSetTable)};
  const std::uint64_t mask = field(head, Field::kSetMask);
  if (mask > kMaxItems || !is_plausible(table)) return;
  constexpr std::uint64_t kEntry = 16;  // {key, hash}
  const std::uint64_t count = affordable((mask + 1) * 2) / 2;
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t number = std::min(count - done, kChunkWords / 2);
    const Bytes entries = bodies_.bytes(table + done * kEntry, number * kEntry);
    if (entries.empty()) return;
    pay(number * 2);
    for (std::uint64_t i = 0; i < number; ++i) {
      const std::uint64_t at = i * kEntry;
      if (word_at(entries, at + layout_.offset(Field::kSetEntryHash)) == kDummyHash) continue;
      add(out, word_at(entries, at + layout_.offset(Field::kSetEntryKey)), EdgeKind::kMember, 0);
    }
    done += number;
    spill(out);
  }
}

void EdgeReader::read_deque(Bytes head, Edges& out) {
  std::uint64_t left = affordable(std::min(field(head, Field::kVarObjectSize), kMaxLinked));
  std::uint64_t index = field(head, Field::kDequeLeftIndex);
  RemoteAddr block{field(head, Field::kDequeLeftBlock)};
  if (index >= kDequeBlockItems) return;
  for (std::uint64_t item = 0; left > 0 && is_plausible(block);) {
    const Bytes bytes = bodies_.bytes(block, layout_.size(Struct::kDequeBlock));
    if (bytes.empty()) return;
    const std::uint64_t number = std::min(left, kDequeBlockItems - index);
    pay(number);
    for (std::uint64_t i = 0; i < number; ++i, ++item) {
      const std::uint64_t at = layout_.offset(Field::kDequeBlockData) + (index + i) * kWord;
      add(out, word_at(bytes, at), EdgeKind::kIndex, item);
    }
    left -= number;
    index = 0;
    block = RemoteAddr{field(bytes, Field::kDequeBlockRight)};
  }
}

}  // namespace memspy::cpython

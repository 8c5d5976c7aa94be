// Edges of a few types of extension modules that have more than fields.
#include <algorithm>

#include "cpython/heap/edge_reader.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kWord = 8;
constexpr std::uint64_t kMaxItems = std::uint64_t{1} << 32;
constexpr std::uint64_t kMaxLinked = 1 << 26;  // entries of a list that may be a ring

// _elementtree.Element: {tag, text, tail, extra}; bit 0 of text and tail says that they are lists
// of strings yet to be joined. The extra part: {attrib, length, allocated, children}.
constexpr std::uint32_t kElementTag = 0x10, kElementText = 0x18, kElementTail = 0x20,
                        kElementExtra = 0x28, kElementBytes = 0x30;
constexpr std::uint32_t kExtraAttrib = 0, kExtraLength = 8, kExtraChildren = 0x18,
                        kExtraBytes = 0x20;
constexpr std::uint64_t kJoin = 1;

// itertools' data of a tee: how many of its values are in use.
constexpr std::uint32_t kTeeCount = 0x18, kTeeValues = 0x28;
constexpr std::uint64_t kTeeSlots = 57;

// numpy's own layout, the same in 1.x and 2.x on x86-64.
constexpr std::uint32_t kArrayData = 0x10, kArrayDimensions = 0x18, kArrayShape = 0x20,
                        kArrayBase = 0x30, kArrayDtype = 0x38, kArrayFlags = 0x40,
                        kArrayAllocator = 0x58, kArrayBytes = 0x60;
constexpr std::uint32_t kDtypeNumber = 0x1c;
constexpr std::uint64_t kDtypeObject = 17;  // NPY_OBJECT
constexpr std::uint64_t kArrayOwnsData = 4, kMaxDimensions = 64;

}  // namespace

// The entries of a bounded cache hang on a ring that begins in the cache itself. They are objects
// that the ring and the cache's dict own; what is in them, the cache tells the collector (3.8+).
void EdgeReader::read_cache_entries(RemoteAddr object, Edges& out) {
  const RemoteAddr root = object + layout_.offset(Field::kLruCacheRoot);
  RemoteAddr entry{others_.word(root + layout_.offset(Field::kLruElementNext))};
  const RemoteAddr cache{others_.word(object + layout_.offset(Field::kLruCacheCache))};
  if (!is_plausible(cache)) return;
  const std::uint64_t used = others_.word(cache + layout_.offset(Field::kDictUsed));
  const std::uint64_t count = affordable(std::min(used, kMaxLinked));
  for (std::uint64_t i = 0; i < count && entry != root && is_plausible(entry); ++i) {
    const Bytes bytes = others_.bytes(entry, layout_.size(Struct::kLruElement));
    if (bytes.empty()) return;
    pay(1);
    const std::uint64_t key = field(bytes, Field::kLruElementKey);
    add(out, entry.value, EdgeKind::kInternal, names_.entry.value);
    if (layout_.strategies.caches_tell_of_results) {
      add(out, key, EdgeKind::kKeyItself, key);
      add(out, field(bytes, Field::kLruElementResult), EdgeKind::kKey, key);
    }
    entry = RemoteAddr{field(bytes, Field::kLruElementNext)};
  }
}

void EdgeReader::read_element(RemoteAddr object, Edges& out) {
  const Bytes head = heads_.bytes(object, kElementBytes);
  if (head.empty()) return;
  add(out, word_at(head, kElementTag), EdgeKind::kAttribute, names_.tag.value);
  add(out, word_at(head, kElementText) & ~kJoin, EdgeKind::kAttribute, names_.text.value);
  add(out, word_at(head, kElementTail) & ~kJoin, EdgeKind::kAttribute, names_.tail.value);
  const RemoteAddr extra{word_at(head, kElementExtra)};
  if (!is_plausible(extra)) return;
  const Bytes more = others_.bytes(extra, kExtraBytes);
  if (more.empty()) return;
  add(out, word_at(more, kExtraAttrib), EdgeKind::kAttribute, names_.attrib.value);
  read_array(RemoteAddr{word_at(more, kExtraChildren)}, word_at(more, kExtraLength),
             EdgeKind::kIndex, 0, out);
}

void EdgeReader::read_tee_data(RemoteAddr object, Edges& out) {
  const std::uint64_t count = others_.load(object + kTeeCount, 4);
  if (count <= kTeeSlots) read_array(object + kTeeValues, count, EdgeKind::kIndex, 0, out);
}

// The data is a buffer, not an object; only arrays of objects hold references in it.
void EdgeReader::read_ndarray(RemoteAddr object, Edges& out) {
  const Bytes head = heads_.bytes(object, kArrayBytes);
  if (head.empty()) return;
  add(out, word_at(head, kArrayBase), EdgeKind::kAttribute, names_.base.value);
  add(out, word_at(head, kArrayDtype), EdgeKind::kAttribute, names_.dtype.value);
  add(out, word_at(head, kArrayAllocator), EdgeKind::kWord, kArrayAllocator);
  const RemoteAddr dtype{word_at(head, kArrayDtype)};
  if (!is_plausible(dtype) || (word_at(head, kArrayFlags) & kArrayOwnsData) == 0) return;
  if (others_.load(dtype + kDtypeNumber, 4) != kDtypeObject) return;
  const std::uint64_t dimensions = word_at(head, kArrayDimensions) & 0xffffffff;
  const RemoteAddr shape{word_at(head, kArrayShape)};
  if (dimensions > kMaxDimensions || (dimensions != 0 && !is_plausible(shape))) return;
  std::uint64_t items = 1;
  for (std::uint64_t i = 0; i < dimensions; ++i) {
    const std::uint64_t length = others_.word(shape + i * kWord);
    if (length > kMaxItems || items * length > kMaxItems) return;
    items *= length;
  }
  read_array(RemoteAddr{word_at(head, kArrayData)}, items, EdgeKind::kIndex, 0, out);
}

}  // namespace memspy::cpython

#include "cpython/pools/block_content.h"

#include <algorithm>
#include <array>
#include <string>

#include "cpython/remote_fields.h"
#include "cpython/strategies.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kContentBytes =
    512;  // the largest block: numbers end a text as often as they begin it
// Behind the type: a length, a hash that is computed late, and of a text its state and its UTF-8,
// which come late as well.
constexpr std::size_t kHashWord = 2, kStateWord = 3, kTextWords = 6;
constexpr std::size_t kMaxTypes = 1 << 14;
constexpr std::uint64_t kLinkFlags = 7;  // of the collector's links, in their lowest bits
constexpr int kMetaDepth = 4;            // types of types: `type` is its own
constexpr std::size_t kMaxName = 64;
// Where the type of an object stands in its block: behind the count; behind a collector's head of
// 16 or 32 bytes, or one and two more words (3.12+).
constexpr std::array<std::size_t, 4> kTypeWords = {1, 3, 5, 7};
constexpr std::array kGrowing = {
    "set",         "collections.deque",       "bytearray",   "collections.OrderedDict",
    "array.array", "collections.defaultdict", "_io.BytesIO", "_io.StringIO"};

std::uint64_t word_at(const std::vector<std::byte>& content, std::size_t index) {
  return load(content, index * 8, 8).value_or(0);
}

}  // namespace

std::uint64_t BlockContent::word(RemoteAddr at) const {
  return is_plausible(at) ? memspy::read<std::uint64_t>(memory_, at).value_or(0) : 0;
}

// From an object its types lead to `type`, whose type is itself.
bool BlockContent::is_type(RemoteAddr address) {
  if (!is_plausible(address)) return false;
  if (types_.contains(address.value)) return true;
  RemoteAddr at = address;
  for (int depth = 0; depth < kMetaDepth; ++depth) {
    const RemoteAddr type{word(at + layout_.offset(Field::kObjectType))};
    if (!type) return false;
    if (type == at) {
      if (types_.size() >= kMaxTypes) types_.clear();
      types_[address.value] = kind_of(address);
      return true;
    }
    at = type;
  }
  return false;
}

BlockContent::Kind BlockContent::kind_of(RemoteAddr type) {
  const std::uint64_t flags = word(type + layout_.offset(Field::kTypeFlags));
  if ((flags & kTypeUnicodeSubclass) != 0) return Kind::kText;
  if ((flags & (kTypeTupleSubclass | kTypeBytesSubclass)) != 0) return Kind::kHashed;
  if ((flags & kTypeLongSubclass) != 0) return Kind::kNumber;
  if ((flags & (kTypeListSubclass | kTypeDictSubclass)) != 0) return Kind::kGrows;
  const auto name =
      read_c_string(memory_, {word(type + layout_.offset(Field::kTypeName))}, kMaxName);
  if (!name.has_value()) return Kind::kOther;
  if (*name == "float" || *name == "complex") return Kind::kNumber;
  const bool grows = std::find(kGrowing.begin(), kGrowing.end(), *name) != kGrowing.end();
  return grows ? Kind::kGrows : Kind::kOther;
}

BlockContent::Write BlockContent::judge(RemoteAddr block) {
  const std::uint64_t written = word(block + kMark);
  const RemoteAddr previous{written & ~kLinkFlags};
  return judge(block, written, word(previous + layout_.offset(Field::kGcHeadNext)));
}

BlockContent::Write BlockContent::judge(RemoteAddr block, std::uint64_t written,
                                        std::uint64_t behind) {
  if (written == 0) return Write::kZero;
  if (is_type({written})) return Write::kType;
  return (behind & ~kLinkFlags) == block.value ? Write::kLink : Write::kOther;
}

std::vector<std::byte> BlockContent::copy(RemoteAddr block, std::uint32_t block_bytes) const {
  std::vector<std::byte> content(std::min<std::size_t>(block_bytes, kContentBytes));
  content.resize(memory_.read_some(block, content));
  return content;
}

// 0: no object's.
std::size_t BlockContent::type_word(const std::vector<std::byte>& content) {
  for (const std::size_t at : kTypeWords) {
    if ((at + 1) * 8 <= content.size() && is_type({word_at(content, at)})) return at;
  }
  return 0;
}

bool BlockContent::may_change(Kind kind, std::size_t behind_type, std::uint64_t then) {
  if (kind != Kind::kHashed && kind != Kind::kText) return false;
  if (behind_type == kHashWord) return true;
  const bool late = behind_type == kStateWord || (behind_type <= kTextWords && then == 0);
  return kind == Kind::kText && late;
}

bool BlockContent::same_object(const std::vector<std::byte>& then,
                               const std::vector<std::byte>& now) {
  if (now.size() != then.size()) return false;
  const std::size_t type = type_word(then);
  if (type != 0 && word_at(then, type) != word_at(now, type)) return false;
  const Kind kind = type != 0 ? types_[word_at(then, type)] : Kind::kOther;
  if (kind == Kind::kGrows) return true;
  const std::size_t begin = type != 0 ? type + 1 : 0, end = then.size() / 8;
  std::size_t other = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (word_at(then, i) == word_at(now, i)) continue;
    if (kind != Kind::kOther && !may_change(kind, i + 1 - begin, word_at(then, i))) return false;
    ++other;
  }
  return kind != Kind::kOther || 2 * other <= end - begin;  // an attribute may be set anew
}

}  // namespace memspy::cpython

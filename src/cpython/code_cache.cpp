#include "cpython/code_cache.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <functional>

#include "cpython/line_table.h"
#include "cpython/remote_fields.h"
#include "cpython/text.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxNameCharacters = 4096;  // longer ones are cut; PATH_MAX for files
constexpr std::uint64_t kMaxLineTable = 1 << 20;    // bytes; lines behind are not known
constexpr std::uint64_t kMaxBytecode = 1 << 30;     // bytes; more is no code object
// What is read of a string or a line table before its length is known: enough for nearly all.
constexpr std::size_t kFirstTextRead = 192, kFirstTableRead = 384;
// A target that makes code without end must not fill our memory. Entries are read again when they
// are needed; texts are what samples refer to and stay.
constexpr std::size_t kMaxEntries = 1 << 17, kMaxLines = 1 << 20;
constexpr std::size_t kMaxTextBytes = std::size_t{256} << 20;

Error corrupt(RemoteAddr code, std::string_view why) {
  return make_error(Errc::kCorrupt, fmt::format("no code object at {:#x}: {}", code.value, why));
}
Error unreadable(RemoteAddr code, std::string_view what) {
  return make_error(Errc::kUnreadable,
                    fmt::format("{} of the code object at {:#x}", what, code.value));
}

std::size_t hash_of(const CodeText& text) {
  std::size_t hash =
      std::hash<std::string>{}(text.function) ^ (std::hash<std::string>{}(text.file) << 1);
  const auto mix = [&hash](std::uint64_t value) {
    hash = (hash ^ value) * 0x100000001b3ULL;
  };  // FNV-1a
  mix(static_cast<std::uint32_t>(text.first_line));
  for (const std::byte byte : text.line_table) mix(std::to_integer<std::uint64_t>(byte));
  return hash;
}

std::size_t size_of(const CodeText& text) {
  return sizeof(text) + text.function.size() + text.file.size() + text.line_table.size();
}

bool same(const CodeText& a, const CodeText& b) {
  return a.first_line == b.first_line && a.function == b.function && a.file == b.file &&
         a.line_table == b.line_table;
}

std::size_t end_of(const Layout& layout, Field field) {
  const auto slot = layout.find(field);
  return slot ? std::size_t{slot->offset} + slot->width : 0;
}

}  // namespace

// All fields are offsets, pointers and sizes from the target: none is trusted.
struct CodeCache::Head {
  RemoteAddr address;
  Entry entry;
  std::int32_t first_line = 0;
  RemoteAddr name, file, line_table, bytecode;
  TextShape name_shape, file_shape;
  std::size_t name_bytes = 0, file_bytes = 0, table_bytes = 0;  // what is kept of each
};

CodeCache::CodeCache(const Layout& layout, const MemoryReader& memory, RemoteAddr code_type)
    : layout_(&layout), memory_(&memory), details_(memory), code_type_(code_type) {
  constexpr Field kFields[] = {
      Field::kCodeConsts,   Field::kCodeFirstLine, Field::kCodeFilename, Field::kCodeName,
      Field::kCodeQualname, Field::kCodeLineTable, Field::kCodeBytecode, Field::kCodeFirstTraceable,
      Field::kObjectType,   Field::kVarObjectSize};
  for (const Field field : kFields) head_size_ = std::max(head_size_, end_of(layout, field));
  // From co_argcount to the line table lie, in every version, the fields set at creation, among
  // them all names, and nothing that changes later.
  constant_begin_ = layout.offset(Field::kCodeArgCount);
  const std::size_t end = end_of(layout, Field::kCodeLineTable);
  const std::size_t room = sizeof(Entry::fingerprint) - sizeof(std::uint64_t);
  constant_size_ = end > constant_begin_ ? std::min(end - constant_begin_, room) : 0;
}

void CodeCache::want(MemoryCopy& copy, RemoteAddr code) const {
  if (is_plausible(code)) copy.want(code, head_size_);
}

std::span<const std::byte> CodeCache::head_bytes(const MemoryCopy& copy, RemoteAddr code) const {
  return copy.find(code, head_size_);
}

const CodeCache::Entry* CodeCache::find(RemoteAddr code) const {
  const auto found = entries_.find(code);
  return found == entries_.end() ? nullptr : &found->second;
}

void CodeCache::take_fingerprint(std::span<const std::byte> bytes, Entry& entry) const {
  const std::uint64_t consts = field_of(bytes, slot(Field::kCodeConsts));
  std::memcpy(entry.fingerprint.data(), &consts, sizeof(consts));
  if (constant_begin_ + constant_size_ > bytes.size()) return;
  std::memcpy(entry.fingerprint.data() + sizeof(consts), bytes.data() + constant_begin_,
              constant_size_);
}

bool CodeCache::is_current(const Entry& entry, const MemoryCopy& copy, RemoteAddr code) const {
  const auto bytes = head_bytes(copy, code);
  if (bytes.empty()) return false;
  if (RemoteAddr{field_of(bytes, slot(Field::kObjectType))} != code_type_) return false;
  Entry now;
  take_fingerprint(bytes, now);
  return now.fingerprint == entry.fingerprint;
}

CodeCache::PartTypes CodeCache::part_types(std::span<const std::byte> head) {
  const Field name = layout_->has(Field::kCodeQualname) ? Field::kCodeQualname : Field::kCodeName;
  const std::array parts = {name, Field::kCodeFilename, Field::kCodeLineTable, Field::kCodeConsts};
  const Slot type = slot(Field::kObjectType);
  const std::size_t size = std::size_t{type.offset} + type.width;
  details_.clear();
  for (const Field part : parts) details_.want({field_of(head, slot(part))}, size);
  details_.fetch();
  PartTypes types{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto object = details_.find({field_of(head, slot(parts[i]))}, size);
    if (object.size() == size) types[i] = field_of(object, type);
  }
  return types;
}

// Words that only look like a header are about: a module that has the type `code` in a variable has
// it in its dict, among names.
bool CodeCache::is_genuine(const MemoryCopy& copy, RemoteAddr code) {
  constexpr std::uint64_t kMaxReferences = 1ULL << 40, kPointerEnd = 1ULL << 47;
  const auto bytes = head_bytes(copy, code);
  if (bytes.empty() || !part_types_) return false;
  // All of the word: above a count of 32 bits (3.14+) are flags, higher than any pointer has bits.
  const Slot count{slot(Field::kObjectRefcount).offset, sizeof(std::uint64_t)};
  const std::uint64_t word = field_of(bytes, count);
  if (word == 0 || (word >= kMaxReferences && word < kPointerEnd)) return false;
  return part_types(bytes) == *part_types_;
}

Result<Unit> CodeCache::check_type(RemoteAddr type, RemoteAddr code) {
  if (code_type_ && type == code_type_) return Unit{};
  if (code_type_ || !is_plausible(type))
    return corrupt(code, fmt::format("type {:#x}", type.value));
  MEMSPY_TRY(name, read_pointer(*memory_, *layout_, type, Field::kTypeName));
  MEMSPY_TRY(text, read_c_string(*memory_, name, sizeof("code")));
  if (text != "code") return corrupt(code, fmt::format("type \"{}\"", text));
  code_type_ = type;
  return Unit{};
}

Result<CodeCache::Head> CodeCache::parse(const MemoryCopy& copy, RemoteAddr code) {
  const auto bytes = head_bytes(copy, code);
  if (bytes.empty()) return unreadable(code, "first bytes");
  const auto get = [&](Field field) { return field_of(bytes, slot(field)); };
  MEMSPY_CHECK(check_type(RemoteAddr{get(Field::kObjectType)}, code));
  Head head;
  head.address = code;
  take_fingerprint(bytes, head.entry);
  head.first_line = static_cast<std::int32_t>(get(Field::kCodeFirstLine));
  head.name = {get(layout_->has(Field::kCodeQualname) ? Field::kCodeQualname : Field::kCodeName)};
  head.file = {get(Field::kCodeFilename)};
  head.line_table = {get(Field::kCodeLineTable)};
  for (const RemoteAddr pointer : {head.name, head.file, head.line_table}) {
    if (!is_plausible(pointer)) return corrupt(code, fmt::format("pointer {:#x}", pointer.value));
  }
  if (layout_->strategies.bytecode == BytecodeKind::kBytesObject) {
    head.bytecode = {get(Field::kCodeBytecode)};
    if (!is_plausible(head.bytecode)) return corrupt(code, "no bytecode");
  } else {
    constexpr std::int64_t kUnit = 2;  // bytes per code unit, which is what ob_size counts
    const std::uint64_t units = get(Field::kVarObjectSize);
    if (units > kMaxBytecode) return corrupt(code, fmt::format("{} code units", units));
    head.entry.bytecode = code + layout_->offset(Field::kCodeAdaptive);
    head.entry.bytecode_size = static_cast<std::int64_t>(units) * kUnit;
    const auto first_traceable = static_cast<std::int32_t>(get(Field::kCodeFirstTraceable));
    head.entry.first_traceable = std::max(first_traceable, 0) * kUnit;
  }
  return head;
}

void CodeCache::want_details(const Head& head) {
  details_.want(head.name, kFirstTextRead);
  details_.want(head.file, kFirstTextRead);
  details_.want(head.line_table, kFirstTableRead);
  if (head.bytecode) details_.want(head.bytecode, layout_->offset(Field::kBytesData));
}

// With the heads of the details at hand: asks for what is longer than the first read.
Result<Unit> CodeCache::want_rest(Head& head) {
  const auto shape = [&](RemoteAddr text) {
    return text_shape(*layout_, text, details_.find_prefix(text, text_head_size(*layout_)));
  };
  const auto bytes_size = [&](RemoteAddr bytes) -> std::uint64_t {
    const Slot size = slot(Field::kVarObjectSize);
    const auto found = details_.find(bytes, std::size_t{size.offset} + size.width);
    return found.empty() ? UINT64_MAX : field_of(found, size);
  };
  MEMSPY_TRY(name, shape(head.name));
  MEMSPY_TRY(file, shape(head.file));
  head.name_shape = name;
  head.file_shape = file;
  head.name_bytes = std::min(name.length, kMaxNameCharacters) * name.width;
  head.file_bytes = std::min(file.length, kMaxNameCharacters) * file.width;
  const std::uint64_t table = bytes_size(head.line_table);
  if (table > kMaxBytecode) return corrupt(head.address, "line table of no size");
  head.table_bytes = std::min(table, kMaxLineTable);
  if (head.bytecode) {
    const std::uint64_t bytecode = bytes_size(head.bytecode);
    if (bytecode > kMaxBytecode) return corrupt(head.address, "bytecode of no size");
    head.entry.bytecode = head.bytecode + layout_->offset(Field::kBytesData);
    head.entry.bytecode_size = static_cast<std::int64_t>(bytecode);
  }
  details_.want(name.characters, head.name_bytes);
  details_.want(file.characters, head.file_bytes);
  details_.want(head.line_table + layout_->offset(Field::kBytesData), head.table_bytes);
  return Unit{};
}

Result<Unit> CodeCache::finish(const Head& head) {
  const auto decode = [&](const TextShape& shape, std::size_t size) -> Result<std::string> {
    const auto bytes = details_.find(shape.characters, size);
    if (bytes.size() != size) return unreadable(head.address, "a name");
    MEMSPY_TRY(text, decode_text(bytes, shape));
    if (shape.length > kMaxNameCharacters) text += "…";
    return text;
  };
  MEMSPY_TRY(function, decode(head.name_shape, head.name_bytes));
  MEMSPY_TRY(file, decode(head.file_shape, head.file_bytes));
  const auto table =
      details_.find(head.line_table + layout_->offset(Field::kBytesData), head.table_bytes);
  if (table.size() != head.table_bytes) return unreadable(head.address, "the line table");
  CodeText text{
      std::move(function), std::move(file), head.first_line, {table.begin(), table.end()}};
  MEMSPY_TRY(index, intern(std::move(text)));
  Entry& entry = entries_[head.address];
  entry = head.entry;
  entry.text = index;
  return Unit{};
}

Result<std::uint32_t> CodeCache::intern(CodeText text) {
  const std::size_t hash = hash_of(text);
  const auto [first, last] = text_index_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (same(texts_[it->second], text)) return it->second;
  }
  if (text_bytes_ > kMaxTextBytes) {
    return make_error(Errc::kUnsupported,
                      fmt::format("more than {} bytes of code names", kMaxTextBytes));
  }
  text_bytes_ += size_of(text);
  const auto index = static_cast<std::uint32_t>(texts_.size());
  texts_.push_back(std::move(text));
  text_index_.emplace(hash, index);
  return index;
}

void CodeCache::trim() {
  if (entries_.size() > kMaxEntries) entries_.clear();
}

Result<Unit> CodeCache::load(const MemoryCopy& copy, std::span<const RemoteAddr> codes) {
  std::vector<Head> heads;
  details_.clear();
  for (const RemoteAddr code : codes) {
    entries_.erase(code);
    MEMSPY_TRY(head, parse(copy, code));
    want_details(head);
    heads.push_back(head);
  }
  details_.fetch();
  for (Head& head : heads) MEMSPY_CHECK(want_rest(head));
  details_.fetch();
  for (const Head& head : heads) MEMSPY_CHECK(finish(head));
  if (!part_types_ && !codes.empty()) part_types_ = part_types(head_bytes(copy, codes.front()));
  return Unit{};
}

std::int32_t CodeCache::line(std::uint32_t text, std::int32_t instruction) const {
  const std::uint64_t key = (std::uint64_t{text} << 32) | static_cast<std::uint32_t>(instruction);
  const auto found = lines_.find(key);
  if (found != lines_.end()) return found->second;
  if (lines_.size() >= kMaxLines) lines_.clear();
  const CodeText& code = texts_[text];
  // A table that was cut says nothing about where its last line ends.
  const std::int32_t line =
      code.line_table.size() < kMaxLineTable
          ? line_of(layout_->strategies.line_table, code.line_table, code.first_line, instruction)
          : 0;
  lines_.emplace(key, line);
  return line;
}

}  // namespace memspy::cpython

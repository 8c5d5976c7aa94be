// Code objects by address: what a stack needs of them, read once. An address can be reused by
// another code object when its own was freed, so an entry is used only after its fingerprint
// (fields that never change during the life of a code object) was compared with what is there now.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cpython/layout.h"
#include "cpython/memory_copy.h"

namespace memspy::cpython {

// What is shown of a code object. Equal texts have one index, at whatever addresses they were seen.
struct CodeText {
  std::string function;  // co_qualname, or co_name up to 3.10
  std::string file;
  std::int32_t first_line = 0;
  std::vector<std::byte> line_table;
};

class CodeCache {
 public:
  // What the walk needs of the code object at an address.
  struct Entry {
    std::uint32_t text = 0;          // index of its CodeText
    RemoteAddr bytecode;             // the first instruction
    std::int64_t bytecode_size = 0;  // bytes
    // A frame before this byte offset is not set up yet; up to 3.10 there is no such rule.
    std::int64_t first_traceable = std::numeric_limits<std::int64_t>::min();
    std::array<std::byte, 128> fingerprint{};
  };

  // `code_type`: PyCode_Type; when null it is learnt from the first code object.
  CodeCache(const Layout& layout, const MemoryReader& memory, RemoteAddr code_type);

  // PyCode_Type; null while no code object was seen.
  RemoteAddr type() const { return code_type_; }

  // Asks `copy` for the bytes that load() and is_current() look at.
  void want(MemoryCopy& copy, RemoteAddr code) const;
  // nullptr: not read yet, or found to be replaced.
  const Entry* find(RemoteAddr code) const;
  // Does the copy show the same code object as the entry? False when it is not in the copy.
  bool is_current(const Entry& entry, const MemoryCopy& copy, RemoteAddr code) const;
  // For what is not known to be a code object, once one was read. Does the copy show an object that
  // is in use (in a freed one the count is the allocator's link), and are its name, its file, its
  // line table and its constants of the types that they are of elsewhere?
  bool is_genuine(const MemoryCopy& copy, RemoteAddr code);
  // Reads the code objects whose first bytes are in `copy` and replaces older entries: two batches,
  // however many they are. kCorrupt, kUnreadable: one of them is not a code object.
  Result<Unit> load(const MemoryCopy& copy, std::span<const RemoteAddr> codes);

  void forget(RemoteAddr code) { entries_.erase(code); }
  // Forgets the entries when they are very many; not while some are in use. Texts stay.
  void trim();

  const CodeText& text(std::uint32_t index) const { return texts_[index]; }
  // 0: no line. Remembers.
  std::int32_t line(std::uint32_t text, std::int32_t instruction) const;
  std::size_t size() const { return texts_.size(); }

 private:
  struct Head;  // a code object on its way into the cache

  Slot slot(Field field) const { return layout_->slots[static_cast<std::size_t>(field)]; }
  std::span<const std::byte> head_bytes(const MemoryCopy& copy, RemoteAddr code) const;
  void take_fingerprint(std::span<const std::byte> bytes, Entry& entry) const;
  using PartTypes = std::array<std::uint64_t, 4>;
  PartTypes part_types(std::span<const std::byte> head);
  Result<Head> parse(const MemoryCopy& copy, RemoteAddr code);
  Result<Unit> check_type(RemoteAddr type, RemoteAddr code);
  void want_details(const Head& head);
  Result<Unit> want_rest(Head& head);
  Result<Unit> finish(const Head& head);
  Result<std::uint32_t> intern(CodeText text);

  const Layout* layout_;
  const MemoryReader* memory_;
  MemoryCopy details_;  // names, files and line tables being loaded
  std::size_t head_size_ = 0;
  // The part of a code object that goes into the fingerprint.
  std::size_t constant_begin_ = 0, constant_size_ = 0;
  RemoteAddr code_type_;
  std::optional<PartTypes> part_types_;  // of the first one that was read
  std::vector<CodeText> texts_;
  std::size_t text_bytes_ = 0;
  std::unordered_multimap<std::size_t, std::uint32_t> text_index_;  // by hash
  std::unordered_map<RemoteAddr, Entry> entries_;
  mutable std::unordered_map<std::uint64_t, std::int32_t> lines_;
};

}  // namespace memspy::cpython

// What is written into a block, as far as it tells whose the block is now: the first words of a new
// object, or a change in one that has been there for long. And what a block holds, to tell later
// whether it still is the same object.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "cpython/layout.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

class BlockContent {
 public:
  // Where a new object of a block leaves its mark: the type of one without a collector's head, a
  // word of the head of one that has it. What is before changes with every reference.
  static constexpr std::uint64_t kMark = 8;

  enum class Write {
    kType,  // an object begins that the collector does not see
    kZero,  // one that it sees begins, or is not seen any more since it ends
    kLink,  // the collector's list has changed beside the object: it is the old one
    kOther  // contents; of a block that is no object, perhaps the first
  };

  BlockContent(const Layout& layout, const MemoryReader& memory)
      : layout_(layout), memory_(memory) {}

  // Of a write to the word at kMark of a block, just made.
  Write judge(RemoteAddr block);
  // The same of one that was recorded: what was written; and, if that is a link of the collector's
  // list (its flags left out), the link at its other end.
  Write judge(RemoteAddr block, std::uint64_t written, std::uint64_t behind);

  // What is in a block; empty: not readable.
  std::vector<std::byte> copy(RemoteAddr block, std::uint32_t block_bytes) const;
  // Is what was copied then still there? Reference counts and collector's heads do not count, nor
  // do the contents of objects that are there to be changed.
  bool same_object(const std::vector<std::byte>& then, const std::vector<std::byte>& now);

 private:
  bool is_type(RemoteAddr address);
  // kNumber: nothing in an object changes once it is made; kHashed, kText: but for what is computed
  // late; kGrows: everything may.
  enum class Kind { kNumber, kHashed, kText, kGrows, kOther };
  static bool may_change(Kind kind, std::size_t behind_type, std::uint64_t then);
  Kind kind_of(RemoteAddr type);
  std::size_t type_word(const std::vector<std::byte>& content);
  std::uint64_t word(RemoteAddr at) const;

  const Layout& layout_;
  const MemoryReader& memory_;
  std::unordered_map<std::uint64_t, Kind> types_;
};

}  // namespace memspy::cpython

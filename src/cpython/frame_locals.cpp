#include "cpython/frame_locals.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <string>
#include <utility>

#include "cpython/object_reader.h"
#include "cpython/object_repr.h"
#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kMaxLocals = 512;
constexpr std::size_t kMaxNameCharacters = 256;
constexpr std::uint64_t kTags = 3;  // low bits of a tagged reference (3.14+)

class LocalsReader {
 public:
  LocalsReader(const Layout& layout, const MemoryReader& memory)
      : layout_(layout), memory_(memory), objects_(layout, memory), reprs_(layout, memory) {}

  Result<std::vector<LocalVariable>> read(RemoteAddr frame, std::size_t repr_cap);

 private:
  Result<std::vector<std::string>> names_of(RemoteAddr code) const;
  Result<Unit> append_names(RemoteAddr tuple, std::vector<std::string>& names) const;
  std::uint64_t untagged(std::uint64_t word) const {
    return layout_.strategies.references == ReferenceKind::kStackRef ? word & ~kTags : word;
  }
  // A cell variable is a plain value until its frame makes the cell, so the object itself tells.
  RemoteAddr value_of(RemoteAddr slot);

  const Layout& layout_;
  const MemoryReader& memory_;
  ObjectReader objects_;
  ObjectRepr reprs_;
};

Result<Unit> LocalsReader::append_names(RemoteAddr tuple, std::vector<std::string>& names) const {
  MEMSPY_TRY(count, read_field(memory_, layout_, tuple, Field::kVarObjectSize));
  if (count + names.size() > kMaxLocals || count > kMaxLocals) {
    return make_error(Errc::kCorrupt,
                      fmt::format("{} names of variables at {:#x}", count, tuple.value));
  }
  std::vector<std::uint64_t> items(count);
  if (count == 0) return Unit{};
  const RemoteAddr first = tuple + layout_.offset(Field::kTupleItems);
  MEMSPY_CHECK(read_exact(memory_, first, std::as_writable_bytes(std::span(items))));
  for (const std::uint64_t item : items) {
    MEMSPY_TRY(name, objects_.read_str(RemoteAddr{item}, kMaxNameCharacters));
    names.push_back(std::move(name));
  }
  return Unit{};
}

// In the order of the frame's slots.
Result<std::vector<std::string>> LocalsReader::names_of(RemoteAddr code) const {
  std::vector<std::string> names;
  const Field together[] = {Field::kCodeLocalsPlusNames};
  const Field apart[] = {Field::kCodeVarNames, Field::kCodeCellVars, Field::kCodeFreeVars};
  const bool one_list = layout_.has(Field::kCodeLocalsPlusNames);
  for (const Field field :
       one_list ? std::span<const Field>(together) : std::span<const Field>(apart)) {
    MEMSPY_TRY(tuple, read_pointer(memory_, layout_, code, field));
    if (!tuple) continue;
    MEMSPY_CHECK(append_names(tuple, names));
  }
  return names;
}

RemoteAddr LocalsReader::value_of(RemoteAddr slot) {
  if (!slot || !reprs_.is_cell(slot)) return slot;
  return read_pointer(memory_, layout_, slot, Field::kCellContents).value_or(RemoteAddr{});
}

Result<std::vector<LocalVariable>> LocalsReader::read(RemoteAddr frame, std::size_t repr_cap) {
  MEMSPY_TRY(code_word, read_field(memory_, layout_, frame, Field::kFrameCode));
  const RemoteAddr code{untagged(code_word)};
  if (!is_plausible(code)) {
    return make_error(Errc::kCorrupt, fmt::format("frame {:#x} runs no code", frame.value));
  }
  MEMSPY_TRY(names, names_of(code));
  std::vector<std::uint64_t> slots(names.size());
  const RemoteAddr first = frame + layout_.offset(Field::kFrameLocalsPlus);
  if (!slots.empty()) {
    MEMSPY_CHECK(read_exact(memory_, first, std::as_writable_bytes(std::span(slots))));
  }
  std::vector<LocalVariable> variables;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    // ".0" is the iterator that a comprehension is given.
    if (names[i].empty() || names[i].front() == '.') continue;
    const RemoteAddr value = value_of(RemoteAddr{untagged(slots[i])});
    if (!value) continue;
    variables.push_back({std::move(names[i]), reprs_.repr(value, repr_cap)});
  }
  return variables;
}

}  // namespace

Result<std::vector<LocalVariable>> read_locals(const Layout& layout, const MemoryReader& memory,
                                               RemoteAddr frame, std::size_t repr_cap) {
  return LocalsReader(layout, memory).read(frame, repr_cap);
}

}  // namespace memspy::cpython

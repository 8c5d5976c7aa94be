// The entries of one compilation unit that may hold code, in their order, straight from the bytes.
// libdw takes a dozen calls for an entry, each of which locks and looks its abbreviation up again;
// that was half of the time that names took. Abbreviations are read through libdw, once, and so is
// what few entries have or few are asked for: ranges in a table, names.
//
// The bytes are hostile: a walk ends at the first that makes no sense. Private to symbolize.
#pragma once

#include <elfutils/libdw.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace memspy::symbolize {

class UnitWalk {
 public:
  // Of what may lead to code.
  struct Entry {
    Dwarf_Off offset = 0;  // as dwarf_offdie() takes it
    int tag = 0;
    std::size_t depth = 0;  // 0: a child of the unit
    bool declaration = false;
    std::uint64_t begin = 0, end = 0;  // of its code; equal: none
    bool elsewhere = false;            // …is only known to dwarf_ranges()
  };

  // `unit` must outlive it. Where its bytes are not to be had there are no entries.
  explicit UnitWalk(Dwarf_Die* unit);

  // nullopt: there are no more. What is in an entry comes after it.
  std::optional<Entry> next();
  // …but is left out for the entry that came last.
  void skip_inside();

 private:
  struct Attribute {
    unsigned int name = 0, form = 0;
    Dwarf_Sword constant = 0;  // of DW_FORM_implicit_const
  };
  struct Kind {   // an abbreviation
    int tag = 0;  // 0: unknown
    bool has_inside = false, wanted = false;
    std::optional<std::size_t> bytes;  // of all its entries, where all have as many
    std::vector<Attribute> attributes;
  };
  // An entry, and how to get past what is in it.
  struct Reading {
    Entry entry;
    std::optional<std::uint64_t> low, high;
    bool high_is_size = false;
    bool has_inside = false;
    std::size_t sibling = 0;  // where the next one beside it begins; 0: not said
  };

  bool find_bytes(Dwarf_Die* unit);
  void read_kinds(Dwarf_Die* unit);
  Kind read_kind(Dwarf_Abbrev* abbreviation) const;
  std::optional<std::size_t> size_of(unsigned int form) const;
  bool read(const Kind& kind, Reading& reading);
  bool read(const Attribute& attribute, Reading& reading);
  void go_past(const Reading& reading);
  // Of the bytes at hand; nullopt, false: there are not so many, or they make no sense.
  std::optional<std::uint64_t> number(const Attribute& attribute);
  std::optional<std::uint64_t> fixed(std::size_t bytes);
  std::optional<std::uint64_t> leb128();
  bool skip(unsigned int form);
  bool skip_bytes(std::optional<std::uint64_t> count);

  std::span<const unsigned char> bytes_;  // of the unit, from its own entry on
  std::size_t at_ = 0;
  Dwarf_Off offset_ = 0;          // of the first of them
  std::size_t header_bytes_ = 0;  // of the unit, before them
  std::uint8_t address_bytes_ = 0, offset_bytes_ = 0;
  Dwarf_Half version_ = 0;
  std::vector<Kind> kinds_;              // by code
  std::size_t depth_ = 0;                // of the entry at hand
  std::optional<std::size_t> left_out_;  // what is deeper than this
  Reading last_;
};

}  // namespace memspy::symbolize

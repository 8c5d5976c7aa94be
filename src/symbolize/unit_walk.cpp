#include "symbolize/unit_walk.h"

#include <dwarf.h>
#include <libelf.h>

#include <algorithm>
#include <cstring>

namespace memspy::symbolize {
namespace {

constexpr std::size_t kMaxKinds = 1U << 18, kMaxAttributes = 256;

bool leads_to_code(int tag) {
  switch (tag) {
    case DW_TAG_subprogram:
    case DW_TAG_inlined_subroutine:
    case DW_TAG_lexical_block:
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_common_block:
    case DW_TAG_with_stmt:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
    case DW_TAG_entry_point:
      return true;
    default:
      return false;
  }
}

// Into a table of addresses.
bool is_index(unsigned int form) {
  return form == DW_FORM_addrx || form == DW_FORM_addrx1 || form == DW_FORM_addrx2 ||
         form == DW_FORM_addrx3 || form == DW_FORM_addrx4 || form == DW_FORM_GNU_addr_index;
}

// Of the section that these bytes are in, from there on: libdw keeps what it reads in libelf's
// buffers, uncompressed.
std::size_t bytes_left_at(Elf* elf, const unsigned char* at) {
  for (Elf_Scn* section = nullptr; (section = ::elf_nextscn(elf, section)) != nullptr;) {
    for (Elf_Data* data : {::elf_rawdata(section, nullptr), ::elf_getdata(section, nullptr)}) {
      if (data == nullptr || data->d_buf == nullptr) continue;
      const auto* begin = static_cast<const unsigned char*>(data->d_buf);
      if (at >= begin && at < begin + data->d_size)
        return data->d_size - static_cast<std::size_t>(at - begin);
    }
  }
  return 0;
}

bool is_little_endian(Elf* elf) {
  std::size_t size = 0;
  const char* identity = ::elf_getident(elf, &size);
  return identity != nullptr && size > EI_DATA && identity[EI_DATA] == ELFDATA2LSB;
}

}  // namespace

UnitWalk::UnitWalk(Dwarf_Die* unit) {
  if (!find_bytes(unit)) return;
  read_kinds(unit);
  Reading own;
  const auto code = leb128();
  const bool known = code && *code < kinds_.size() && kinds_[*code].has_inside;
  if (!known || !read(kinds_[*code], own)) bytes_ = {};
}

bool UnitWalk::find_bytes(Dwarf_Die* unit) {
  Dwarf* dwarf = ::dwarf_cu_getdwarf(unit->cu);
  Elf* elf = dwarf == nullptr ? nullptr : ::dwarf_getelf(dwarf);
  if (elf == nullptr || !is_little_endian(elf)) return false;
  offset_ = ::dwarf_dieoffset(unit);
  header_bytes_ = ::dwarf_cuoffset(unit);
  Dwarf_Off next = 0;
  std::size_t header = 0;
  if (::dwarf_next_unit(dwarf, offset_ - header_bytes_, &next, &header, &version_, nullptr,
                        &address_bytes_, &offset_bytes_, nullptr, nullptr) != 0 ||
      next <= offset_)
    return false;
  const auto* begin = static_cast<const unsigned char*>(unit->addr);
  bytes_ = {begin, std::min<std::size_t>(next - offset_, bytes_left_at(elf, begin))};
  return !bytes_.empty();
}

void UnitWalk::read_kinds(Dwarf_Die* unit) {
  Dwarf_Off at = 0;
  for (std::size_t i = 0; i < kMaxKinds; ++i) {
    std::size_t length = 0;
    Dwarf_Abbrev* abbreviation = ::dwarf_getabbrev(unit, at, &length);
    if (abbreviation == nullptr || abbreviation == DWARF_END_ABBREV || length == 0) return;
    at += length;
    const unsigned int code = ::dwarf_getabbrevcode(abbreviation);
    if (code >= kMaxKinds) continue;
    if (code >= kinds_.size()) kinds_.resize(code + 1);
    kinds_[code] = read_kind(abbreviation);
  }
}

UnitWalk::Kind UnitWalk::read_kind(Dwarf_Abbrev* abbreviation) const {
  Kind kind;
  kind.tag = static_cast<int>(::dwarf_getabbrevtag(abbreviation));
  kind.has_inside = ::dwarf_abbrevhaschildren(abbreviation) != 0;
  kind.wanted = leads_to_code(kind.tag);
  kind.bytes = 0;
  // dwarf_getattrcnt() does not know DW_FORM_implicit_const, and counts too few (elfutils 0.188).
  for (std::size_t i = 0;; ++i) {
    Attribute attribute;
    const int failed = ::dwarf_getabbrevattr_data(abbreviation, i, &attribute.name, &attribute.form,
                                                  &attribute.constant, nullptr);
    if (failed != 0 || (attribute.name == 0 && attribute.form == 0)) return kind;
    if (i == kMaxAttributes) return {};
    kind.attributes.push_back(attribute);
    const auto size = size_of(attribute.form);
    kind.bytes = kind.bytes && size ? std::optional(*kind.bytes + *size) : std::nullopt;
  }
}

std::optional<UnitWalk::Entry> UnitWalk::next() {
  while (at_ < bytes_.size()) {
    last_ = {};
    last_.entry.offset = offset_ + at_;
    last_.entry.depth = depth_;
    const auto code = leb128();
    if (code == 0U) {
      if (depth_-- == 0) break;
      if (left_out_ == depth_) left_out_.reset();
      continue;
    }
    if (!code || *code >= kinds_.size() || kinds_[*code].tag == 0) break;
    const Kind& kind = kinds_[*code];
    if (!read(kind, last_)) break;
    if (last_.has_inside) ++depth_;
    if (kind.wanted && !left_out_) return last_.entry;
    go_past(last_);
  }
  bytes_ = {};
  return std::nullopt;
}

void UnitWalk::skip_inside() { go_past(last_); }

void UnitWalk::go_past(const Reading& reading) {
  if (!reading.has_inside) return;
  const std::size_t depth = reading.entry.depth;
  if (reading.sibling > at_) {  // never back
    at_ = reading.sibling;
    depth_ = depth;
  } else if (!left_out_) {
    left_out_ = depth;
  }
}

// --- an entry ---

bool UnitWalk::read(const Kind& kind, Reading& reading) {
  reading.entry.tag = kind.tag;
  reading.has_inside = kind.has_inside;
  if (!kind.wanted && !kind.has_inside && kind.bytes) return skip_bytes(kind.bytes);
  for (const Attribute& attribute : kind.attributes)
    if (!read(attribute, reading)) return false;
  Entry& entry = reading.entry;
  if (!reading.low || !reading.high) return true;
  entry.begin = *reading.low;
  entry.end = reading.high_is_size ? entry.begin + *reading.high : *reading.high;
  return true;
}

bool UnitWalk::read(const Attribute& attribute, Reading& reading) {
  const bool direct = attribute.form == DW_FORM_addr;
  switch (attribute.name) {
    case DW_AT_sibling: {
      const auto place = number(attribute);
      if (place && *place > header_bytes_) reading.sibling = *place - header_bytes_;
      return place.has_value();
    }
    case DW_AT_low_pc:
      if (!direct) break;
      return (reading.low = number(attribute)).has_value();
    case DW_AT_high_pc:
      if (is_index(attribute.form)) break;
      reading.high_is_size = !direct;
      return (reading.high = number(attribute)).has_value();
    case DW_AT_ranges:
      break;
    case DW_AT_declaration:
      reading.entry.declaration = true;
      return skip(attribute.form);
    default:
      return skip(attribute.form);
  }
  reading.entry.elsewhere = true;
  return skip(attribute.form);
}

// --- forms ---

// nullopt: entries differ.
std::optional<std::size_t> UnitWalk::size_of(unsigned int form) const {
  switch (form) {
    case DW_FORM_flag_present:
    case DW_FORM_implicit_const:
      return 0;
    case DW_FORM_data1:
    case DW_FORM_ref1:
    case DW_FORM_flag:
    case DW_FORM_strx1:
    case DW_FORM_addrx1:
      return 1;
    case DW_FORM_data2:
    case DW_FORM_ref2:
    case DW_FORM_strx2:
    case DW_FORM_addrx2:
      return 2;
    case DW_FORM_strx3:
    case DW_FORM_addrx3:
      return 3;
    case DW_FORM_data4:
    case DW_FORM_ref4:
    case DW_FORM_strx4:
    case DW_FORM_addrx4:
    case DW_FORM_ref_sup4:
      return 4;
    case DW_FORM_data8:
    case DW_FORM_ref8:
    case DW_FORM_ref_sig8:
    case DW_FORM_ref_sup8:
      return 8;
    case DW_FORM_data16:
      return 16;
    case DW_FORM_addr:
      return address_bytes_;
    case DW_FORM_ref_addr:
      return version_ <= 2 ? address_bytes_ : offset_bytes_;
    case DW_FORM_strp:
    case DW_FORM_line_strp:
    case DW_FORM_strp_sup:
    case DW_FORM_sec_offset:
    case DW_FORM_GNU_strp_alt:
    case DW_FORM_GNU_ref_alt:
      return offset_bytes_;
    default:
      return std::nullopt;
  }
}

bool UnitWalk::skip(unsigned int form) {
  if (const auto size = size_of(form)) return skip_bytes(size);
  switch (form) {
    case DW_FORM_block1:
      return skip_bytes(fixed(1));
    case DW_FORM_block2:
      return skip_bytes(fixed(2));
    case DW_FORM_block4:
      return skip_bytes(fixed(4));
    case DW_FORM_block:
    case DW_FORM_exprloc:
      return skip_bytes(leb128());
    case DW_FORM_sdata:
    case DW_FORM_udata:
    case DW_FORM_ref_udata:
    case DW_FORM_strx:
    case DW_FORM_addrx:
    case DW_FORM_loclistx:
    case DW_FORM_rnglistx:
    case DW_FORM_GNU_addr_index:
    case DW_FORM_GNU_str_index:
      return leb128().has_value();
    case DW_FORM_string: {
      const auto rest = bytes_.subspan(at_);
      const void* end = std::memchr(rest.data(), 0, rest.size());
      if (end == nullptr) return false;
      at_ = static_cast<std::size_t>(static_cast<const unsigned char*>(end) - bytes_.data()) + 1;
      return true;
    }
    case DW_FORM_indirect: {
      const auto inner = leb128();
      return inner && *inner != DW_FORM_indirect && skip(static_cast<unsigned int>(*inner));
    }
    default:
      return false;  // of a DWARF that is yet to come
  }
}

std::optional<std::uint64_t> UnitWalk::number(const Attribute& attribute) {
  switch (attribute.form) {
    case DW_FORM_implicit_const:
      return static_cast<std::uint64_t>(attribute.constant);
    case DW_FORM_udata:
    case DW_FORM_sdata:
    case DW_FORM_ref_udata:
      return leb128();
    default: {
      const auto size = size_of(attribute.form);
      return size && *size > 0 ? fixed(*size) : std::nullopt;
    }
  }
}

std::optional<std::uint64_t> UnitWalk::fixed(std::size_t bytes) {
  std::uint64_t value = 0;
  if (bytes > sizeof(value) || bytes > bytes_.size() - at_) return std::nullopt;
  std::memcpy(&value, bytes_.data() + at_, bytes);
  at_ += bytes;
  return value;
}

std::optional<std::uint64_t> UnitWalk::leb128() {
  std::uint64_t value = 0;
  for (unsigned int shift = 0; at_ < bytes_.size() && shift < 64; shift += 7) {
    const unsigned char byte = bytes_[at_++];
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

bool UnitWalk::skip_bytes(std::optional<std::uint64_t> count) {
  if (!count || *count > bytes_.size() - at_) return false;
  at_ += *count;
  return true;
}

}  // namespace memspy::symbolize

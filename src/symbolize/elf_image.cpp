#include "symbolize/elf_image.h"

#include <elf.h>

#include <cstring>

namespace memspy::symbolize {
namespace {

// Loaders map whole pages. The smallest page any kernel uses: a larger one only makes p_offset and
// p_vaddr congruent to more bits, so that this stays right.
constexpr std::uint64_t kPage = 4096;

}  // namespace

void SymbolTable::add(std::string_view name, ElfSymbol symbol, bool global) {
  const auto [it, added] = symbols_.try_emplace(name, Entry{symbol, global});
  if (!added && global && !it->second.global) it->second = {symbol, true};
}

std::optional<ElfSymbol> SymbolTable::find(std::string_view name) const {
  const auto it = symbols_.find(name);
  if (it == symbols_.end()) return std::nullopt;
  return it->second.symbol;
}

std::vector<ElfSymbol> SymbolTable::find_parts(std::string_view name) const {
  std::vector<ElfSymbol> parts;
  for (const auto& [other, entry] : symbols_) {
    if (other.size() > name.size() && other.starts_with(name) && other[name.size()] == '.')
      parts.push_back(entry.symbol);
  }
  return parts;
}

bool has_address(unsigned char info, std::uint16_t section_index) {
  if (section_index == SHN_UNDEF || section_index == SHN_ABS || section_index == SHN_COMMON) {
    return false;
  }
  const auto type = ELF64_ST_TYPE(info);
  return type == STT_NOTYPE || type == STT_OBJECT || type == STT_FUNC || type == STT_GNU_IFUNC;
}

std::string find_build_id(std::span<const std::byte> notes) {
  constexpr std::size_t kMaxId = 64;
  const auto padded = [](std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; };
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data(), sizeof(header));
    const std::uint64_t name_at = sizeof(header);
    const std::uint64_t id_at = name_at + padded(header.n_namesz);
    const std::uint64_t end = id_at + padded(header.n_descsz);  // below 2^34: no overflow
    if (id_at + header.n_descsz > notes.size()) break;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
        std::memcmp(notes.data() + name_at, "GNU", 4) == 0 && header.n_descsz <= kMaxId) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      std::string hex;
      for (const std::byte b : notes.subspan(id_at, header.n_descsz)) {
        hex.push_back(kDigits[std::to_integer<unsigned>(b) >> 4]);
        hex.push_back(kDigits[std::to_integer<unsigned>(b) & 15]);
      }
      return hex;
    }
    if (end >= notes.size()) break;
    notes = notes.subspan(end);
  }
  return "";
}

std::optional<std::uint64_t> bias_of_mapping(const std::vector<ElfSegment>& segments,
                                             std::uint64_t start, std::uint64_t offset,
                                             bool executable) {
  for (const auto& segment : segments) {
    if (executable && !segment.executable) continue;
    const std::uint64_t first = segment.offset & ~(kPage - 1);
    if (offset < first) continue;
    // What the page holds before the segment begins; subtracted, so that no hostile size overflows.
    const std::uint64_t before = segment.offset - first;
    if (offset - first >= before && offset - first - before >= segment.file_size) continue;
    return (start - offset) - (segment.address - segment.offset);
  }
  return executable ? bias_of_mapping(segments, start, offset, false) : std::nullopt;
}

}  // namespace memspy::symbolize

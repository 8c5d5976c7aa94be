// What memspy asks of one ELF image, whether it is a file or what a loader made of it in memory.
// Addresses are link addresses: the load bias is the caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace memspy::symbolize {

struct ElfSegment {  // PT_LOAD
  std::uint64_t address = 0;
  std::uint64_t memory_size = 0;
  std::uint64_t offset = 0;  // in the file
  std::uint64_t file_size = 0;
  bool readable = false, writable = false, executable = false;
};

struct ElfSymbol {
  std::uint64_t address = 0;
  std::uint64_t size = 0;  // 0: unknown
};

struct ElfSection {
  std::uint64_t address = 0;
  std::uint64_t size = 0;
};

// Longer names are skipped: none are known, and hashing them is what a hostile table would ask for.
inline constexpr std::size_t kMaxSymbolName = 16384;

class ElfImage {
 public:
  virtual ~ElfImage() = default;
  virtual bool position_independent() const = 0;                // ET_DYN
  virtual const std::vector<ElfSegment>& segments() const = 0;  // as the program headers order them
  virtual const std::string& build_id() const = 0;              // hexadecimal, "" without one
  // Defined symbols with an address; undefined, absolute and thread-local ones are not found.
  virtual std::optional<ElfSymbol> find_symbol(std::string_view name) const = 0;
  virtual std::optional<ElfSection> find_section(
      std::string_view name) const = 0;  // allocated ones
  virtual bool has_sections() const = 0;
  virtual bool has_symtab() const = 0;  // false: exported symbols only
};

// Symbols by name; of several with one name the first global one wins, else the first.
class SymbolTable {
 public:
  // `name` must outlive the table.
  void add(std::string_view name, ElfSymbol symbol, bool global);
  std::optional<ElfSymbol> find(std::string_view name) const;
  std::size_t size() const { return symbols_.size(); }
  // Of names that begin with `name` and a dot.
  std::vector<ElfSymbol> find_parts(std::string_view name) const;

 private:
  struct Entry {
    ElfSymbol symbol;
    bool global;
  };
  std::unordered_map<std::string_view, Entry> symbols_;
};

// True when a symbol's st_info and st_shndx say that it has an address in the image.
bool has_address(unsigned char info, std::uint16_t section_index);

// The NT_GNU_BUILD_ID among notes, as hexadecimal digits; "" when there is none.
std::string find_build_id(std::span<const std::byte> notes);

// The load bias of an image whose file offset `offset` is mapped at `start`: by the executable
// segment that holds the offset (any segment when none does). nullopt when none does.
std::optional<std::uint64_t> bias_of_mapping(const std::vector<ElfSegment>& segments,
                                             std::uint64_t start, std::uint64_t offset,
                                             bool executable);

}  // namespace memspy::symbolize

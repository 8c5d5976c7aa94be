// The ELF image that a loader left in a target's memory: for files that were deleted, replaced, or
// cannot be opened. Exported symbols only: section headers and .symtab are not loaded.
#pragma once

#include <memory>

#include "memspy/memory_reader.h"
#include "memspy/result.h"
#include "symbolize/elf_image.h"

namespace memspy::symbolize {

class ElfInMemory final : public ElfImage {
 public:
  // `header` is where file offset 0 is mapped. Reads everything at once: `memory` may go
  // afterwards. 64-bit little-endian images only, else kUnsupported. An image without a dynamic
  // section (a static executable) is one without symbols, not an error.
  static Result<std::unique_ptr<ElfInMemory>> read(const MemoryReader& memory, RemoteAddr header);

  bool position_independent() const override { return position_independent_; }
  const std::vector<ElfSegment>& segments() const override { return segments_; }
  const std::string& build_id() const override { return build_id_; }
  std::optional<ElfSymbol> find_symbol(std::string_view name) const override {
    return symbols_.find(name);
  }
  std::optional<ElfSection> find_section(std::string_view) const override { return std::nullopt; }
  bool has_sections() const override { return false; }
  bool has_symtab() const override { return false; }

 private:
  friend class ElfMemoryLoader;
  bool position_independent_ = false;
  std::vector<ElfSegment> segments_;
  std::string build_id_;
  std::vector<char> names_;  // what the table's names point into
  SymbolTable symbols_;
};

}  // namespace memspy::symbolize

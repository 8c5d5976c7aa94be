// An ELF file through libelf. The file may be hostile: every number of it is checked by libelf or
// here. Symbol tables are read on the first question, .symtab only when .dynsym has no answer.
// One thread at a time.
#pragma once

#include <memory>

#include "base/unique_fd.h"
#include "memspy/result.h"
#include "symbolize/elf_image.h"

namespace memspy::symbolize {

class ElfFile final : public ElfImage {
 public:
  // `name` stands in errors. kUnsupported: not an ELF executable or library.
  static Result<std::unique_ptr<ElfFile>> open(UniqueFd fd, std::string name);
  static Result<std::unique_ptr<ElfFile>> open(const std::string& path);
  static Result<std::unique_ptr<ElfFile>> from_bytes(std::vector<std::byte> bytes,
                                                     std::string name);
  ~ElfFile() override;

  bool position_independent() const override;
  const std::vector<ElfSegment>& segments() const override;
  const std::string& build_id() const override;
  std::optional<ElfSymbol> find_symbol(std::string_view name) const override;
  std::optional<ElfSection> find_section(std::string_view name) const override;
  // The symbol itself, first, and those of the parts and copies that a compiler has made of it:
  // `name.cold`, `name.constprop.0`.
  std::vector<ElfSymbol> find_parts(std::string_view name) const;
  bool has_sections() const override;
  bool has_symtab() const override;

 private:
  struct Impl;
  explicit ElfFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace memspy::symbolize

// What cpython needs to know of the ELF files mapped into a target; implemented by symbolize, and
// by fakes in tests. Everything is already moved by the load bias: addresses are the target's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/address.h"

namespace memspy {

struct AddressRange {
  RemoteAddr start;
  std::uint64_t size = 0;
};

// One mapped ELF file.
class ModuleImage {
 public:
  virtual ~ModuleImage() = default;
  virtual const std::string& path() const = 0;  // as the target's maps name it
  virtual bool deleted() const = 0;             // gone or replaced on disk since it was mapped
  virtual std::uint64_t load_bias() const = 0;  // runtime address - link address
  virtual std::optional<RemoteAddr> find_symbol(
      std::string_view name) const = 0;  // .dynsym, then .symtab
  virtual std::optional<AddressRange> find_section(std::string_view name) const = 0;
  virtual std::vector<AddressRange> writable_segments() const = 0;  // .data and .bss, as mapped
  virtual std::vector<AddressRange> executable_segments() const = 0;
  // Why symbols or sections are missing ("stripped", "file deleted, read from memory"…); may be "".
  virtual std::string note() const = 0;
};

class SymbolSource {
 public:
  virtual ~SymbolSource() = default;
  // Every mapped ELF file, the executable first, then in order of address.
  virtual const std::vector<const ModuleImage*>& modules() const = 0;
};

}  // namespace memspy

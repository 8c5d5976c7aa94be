// Symbols of a module by address. Which of several at one address is taken is what elfutils'
// dwfl_module_addrinfo() takes, which asks all of them each time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace memspy::symbolize {

struct ListedSymbol {
  std::uint64_t begin = 0, size = 0;
  std::uint64_t section_end = 0;  // as far as one without a size reaches
  const char* name = nullptr;     // lives as long as the ELF file
  std::uint8_t binding = 0;       // global 3, weak 2, local 1
};

class SymbolList {
 public:
  void add(const ListedSymbol& symbol) { symbols_.push_back(symbol); }
  void finish();
  // nullptr: none covers it, and none without a size is before it.
  const char* find(std::uint64_t address) const;
  bool empty() const { return symbols_.empty(); }

 private:
  std::vector<ListedSymbol> symbols_;  // by address
  std::vector<std::uint64_t> reach_;   // the greatest end of the symbols up to here
};

}  // namespace memspy::symbolize

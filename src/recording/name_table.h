// The names of one file's addresses: each text once, and what stands at an address as numbers of
// texts, so that a hundred thousand addresses are a few megabytes, on disk and in memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace memspy::recording {

struct CodeName {
  std::string_view function, file;
  std::int32_t line = 0;
};

class NameTable {
 public:
  // By a link address; innermost first. What an address has is replaced.
  void add(std::uint64_t address, const std::vector<CodeName>& names);
  // Views into the table, until something is added. nullopt: it does not know the address.
  std::optional<std::vector<CodeName>> find(std::uint64_t address) const;
  bool contains(std::uint64_t address) const { return places_.contains(address); }
  bool empty() const { return places_.empty(); }

  std::string pack() const;
  // Adds what pack() has made; false: the blob contradicts its format, and is there up to then.
  bool unpack(std::string_view blob);

 private:
  struct Name {
    std::uint32_t function = 0, file = 0;
    std::int32_t line = 0;
  };
  struct Place {
    std::uint32_t begin = 0, count = 0;  // of names_
  };
  std::uint32_t number_of(std::string_view text);
  bool take_names(class VarintReader& reader, const std::vector<std::uint32_t>& numbers);
  std::vector<std::string> texts_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<Name> names_;
  std::unordered_map<std::uint64_t, Place> places_;
};

}  // namespace memspy::recording

// The functions of one compilation unit by address, inlined ones too: its tree is walked once, and
// each question is a search. Hostile trees are bounded. Private to symbolize.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <string>
#include <vector>

#include "symbolize/unit_walk.h"

namespace memspy::symbolize {

// A file as debug information names it, and the folder it was compiled in.
std::string whole_path(const char* name, const char* folder);

class ScopeIndex {
 public:
  // `unit` must outlive it. Addresses are those of the debug information.
  explicit ScopeIndex(Dwarf_Die* unit);

  // Scopes are as many as there are functions, and few are ever asked for: names come with a
  // question.
  struct Scope {
    Dwarf_Off entry = 0;       // in the debug information
    std::uint32_t parent = 0;  // 0: none
    std::uint32_t names = 0;   // 0: not asked for yet
    bool inlined = false;
  };
  struct Names {
    std::string function;   // mangled where the file has it so; "" none
    std::string call_file;  // where it was inlined; "": not known
    std::int32_t call_line = 0;
  };
  // The innermost function at an address; nullptr: none.
  const Scope* find(std::uint64_t address) const;
  const Scope* parent_of(const Scope& scope) const {
    return scope.parent == 0 ? nullptr : &scopes_[scope.parent];
  }
  // Valid until the next call.
  const Names& names_of(const Scope& scope);

 private:
  // Code of a scope; in the order of the debug information, from the outside in.
  struct Range {
    std::uint64_t begin = 0, end = 0;
    std::uint32_t scope = 0, parent = 0;
  };
  struct Start {
    std::uint64_t address = 0;
    std::uint32_t scope = 0;  // from there to the next one; 0: none
  };

  void walk(Dwarf_Die* unit);
  std::size_t add(const UnitWalk::Entry& entry, std::size_t parent);
  void add_ranges(Dwarf_Off entry, std::size_t scope, std::size_t parent);
  void add_range(std::uint64_t begin, std::uint64_t end, std::size_t scope, std::size_t parent);
  void find_starts();
  Names read_names(const Scope& scope) const;

  Dwarf* dwarf_ = nullptr;
  const char* folder_ = nullptr;  // that names of files are relative to
  Dwarf_Files* files_ = nullptr;
  std::size_t file_count_ = 0;
  std::vector<Scope> scopes_{1};
  std::vector<Names> names_{1};
  std::vector<Range> ranges_;  // until all are known
  std::vector<Start> starts_;  // by address
};

}  // namespace memspy::symbolize

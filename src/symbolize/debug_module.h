// One module's symbols and debug information, through libdwfl. Private to symbolize.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "symbolize/debug_files.h"
#include "symbolize/handles.h"
#include "symbolize/scope_index.h"
#include "symbolize/symbol_list.h"
#include "symbolize/symbolizer.h"
#include "symbolize/unit_ranges.h"

namespace memspy::symbolize {

class DebugModule {
 public:
  // nullptr: the file is no ELF file that libdwfl takes.
  static std::unique_ptr<DebugModule> open(FoundFile file, const std::string& module,
                                           const std::string& build_id,
                                           const SymbolizeOptions& options);

  std::vector<SourceFrame> resolve(std::uint64_t address);
  bool has_lines();

 private:
  DebugModule() = default;
  static int find_debug_info(Dwfl_Module* module, void** user, const char* name, Dwarf_Addr base,
                             const char* file, const char* link, GElf_Word crc, char** path);
  Dwarf_Die* unit_of(std::uint64_t address);
  Dwarf_Die* unit_by_ranges(std::uint64_t address);
  SourceFrame line_at(Dwarf_Die* unit, std::uint64_t address) const;
  SourceFrame line_of_unit(Dwarf_Die* unit, std::uint64_t address) const;
  bool add_other_unit(Dwarf_Die* unit, std::uint64_t address, std::vector<SourceFrame>& frames);
  ScopeIndex& scopes_of(Dwarf_Die* unit);
  const std::string& name_of(const std::string& mangled);
  void load_symbols();
  std::string symbol_at(std::uint64_t address);
  bool add_scopes(Dwarf_Die* unit, std::uint64_t address, std::vector<SourceFrame>& frames);

  std::string path_, build_id_;
  SymbolizeOptions options_;
  std::string debug_dirs_;  // as libdwfl takes them
  char* debug_path_ = nullptr;
  Dwfl_Callbacks callbacks_{};
  DwflHandle dwfl_;
  Dwfl_Module* module_ = nullptr;
  Dwarf_Addr bias_ = 0;  // of the debug information's addresses
  bool symbols_loaded_ = false, lines_ = false, lines_asked_ = false;
  SymbolList symbols_;
  std::unordered_map<Dwarf_Off, std::unique_ptr<ScopeIndex>> units_;
  std::optional<UnitRanges> ranges_;  // once libdw has not known a unit
  std::unordered_map<std::string, std::string> demangled_;
};

}  // namespace memspy::symbolize

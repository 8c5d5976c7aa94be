#include "symbolize/debug_module.h"

#include <dwarf.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "symbolize/demangle.h"

namespace memspy::symbolize {
namespace {

constexpr int kMaxDebugSymbols = 8 << 20;

std::uint8_t binding_of(const GElf_Sym& symbol) {
  switch (GELF_ST_BIND(symbol.st_info)) {
    case STB_GLOBAL:
      return 3;
    case STB_WEAK:
      return 2;
    case STB_LOCAL:
      return 1;
    default:
      return 0;
  }
}

std::uint64_t end_of_section(Elf* elf, GElf_Word index) {
  GElf_Shdr header;
  Elf_Scn* section = elf == nullptr ? nullptr : ::elf_getscn(elf, index);
  if (section == nullptr || ::gelf_getshdr(section, &header) == nullptr) return 0;
  return header.sh_addr + header.sh_size;
}

bool is_code_symbol(const GElf_Sym& symbol, const char* name) {
  const auto type = GELF_ST_TYPE(symbol.st_info);
  return name != nullptr && *name != '\0' && symbol.st_shndx != SHN_UNDEF && type != STT_SECTION &&
         type != STT_FILE && type != STT_TLS && type != STT_OBJECT;
}

}  // namespace

int DebugModule::find_debug_info(Dwfl_Module* module, void** user, const char* name,
                                 Dwarf_Addr base, const char* file, const char* link, GElf_Word crc,
                                 char** path) {
  const auto* self = static_cast<const DebugModule*>(*user);
  // libdwfl asks a second time for what `dwz` has taken out of several files of debug information
  // into one of its own, which `.gnu_debugaltlink` names by its place and build id, and no
  // checksum.
  const bool shared_part = crc == 0 && link != nullptr && std::strchr(link, '/') != nullptr;
  if (shared_part)
    return ::dwfl_build_id_find_debuginfo(module, user, name, base, file, link, crc, path);
  FoundFile found = find_debug_file(self->path_, self->build_id_, link != nullptr ? link : "", crc,
                                    self->options_);
  SPDLOG_DEBUG("debug information of {}: {}", self->path_,
               found.fd.valid() ? found.path : "not found");
  return found.fd.release();
}

std::unique_ptr<DebugModule> DebugModule::open(FoundFile file, const std::string& module,
                                               const std::string& build_id,
                                               const SymbolizeOptions& options) {
  std::unique_ptr<DebugModule> opened(new DebugModule);
  opened->path_ = module;
  opened->build_id_ = build_id;
  opened->options_ = options;
  for (const std::string& dir : options.debug_dirs) opened->debug_dirs_ += dir + ":";
  opened->debug_dirs_ += kDebugRoot;
  opened->debug_path_ = opened->debug_dirs_.data();
  opened->callbacks_ = {.find_elf = nullptr,
                        .find_debuginfo = find_debug_info,
                        .section_address = ::dwfl_offline_section_address,
                        .debuginfo_path = &opened->debug_path_};
  opened->dwfl_.reset(::dwfl_begin(&opened->callbacks_));
  if (!opened->dwfl_) return nullptr;
  ::dwfl_report_begin(opened->dwfl_.get());
  // At base 0 addresses are link addresses.
  Dwfl_Module* reported = ::dwfl_report_elf(opened->dwfl_.get(), module.c_str(), file.path.c_str(),
                                            file.fd.get(), 0, true);
  if (reported == nullptr) return nullptr;
  file.fd.release();  // the module's now
  ::dwfl_report_end(opened->dwfl_.get(), nullptr, nullptr);
  void** user = nullptr;
  if (::dwfl_module_info(reported, &user, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr) !=
      nullptr)
    *user = opened.get();
  opened->module_ = reported;
  return opened;
}

bool DebugModule::has_lines() {
  if (!lines_asked_) {
    lines_asked_ = true;
    lines_ = ::dwfl_module_getdwarf(module_, &bias_) != nullptr;
  }
  return lines_;
}

Dwarf_Die* DebugModule::unit_of(std::uint64_t address) {
  if (!has_lines()) return nullptr;
  if (Dwarf_Die* unit = ::dwfl_module_addrdie(module_, address, &bias_)) return unit;
  return unit_by_ranges(address);
}

Dwarf_Die* DebugModule::unit_by_ranges(std::uint64_t address) {
  if (!ranges_) ranges_.emplace(module_);
  return ranges_->find(address - bias_);
}

// Without a function.
SourceFrame DebugModule::line_at(Dwarf_Die* unit, std::uint64_t address) const {
  if (Dwfl_Line* line = ::dwfl_module_getsrc(module_, address)) {
    int number = 0;
    const char* file = ::dwfl_lineinfo(line, nullptr, &number, nullptr, nullptr, nullptr);
    if (file == nullptr) return {};
    return {"", whole_path(file, ::dwfl_line_comp_dir(line)), std::max(number, 0)};
  }
  return line_of_unit(unit, address);
}

// Also of one that libdw does not find by itself.
SourceFrame DebugModule::line_of_unit(Dwarf_Die* unit, std::uint64_t address) const {
  Dwarf_Line* line = ::dwarf_getsrc_die(unit, address - bias_);
  const char* file = line == nullptr ? nullptr : ::dwarf_linesrc(line, nullptr, nullptr);
  if (file == nullptr) return {};
  int number = 0;
  ::dwarf_lineno(line, &number);
  Dwarf_Attribute attribute;
  const char* folder = ::dwarf_formstring(::dwarf_attr_integrate(unit, DW_AT_comp_dir, &attribute));
  return {"", whole_path(file, folder), std::max(number, 0)};
}

ScopeIndex& DebugModule::scopes_of(Dwarf_Die* unit) {
  auto& index = units_[::dwarf_dieoffset(unit)];
  if (!index) index = std::make_unique<ScopeIndex>(unit);
  return *index;
}

const std::string& DebugModule::name_of(const std::string& mangled) {
  const auto [it, fresh] = demangled_.try_emplace(mangled);
  if (fresh) it->second = demangle(mangled);
  return it->second;
}

void DebugModule::load_symbols() {
  if (std::exchange(symbols_loaded_, true)) return;
  const int count = std::min(::dwfl_module_getsymtab(module_), kMaxDebugSymbols);
  for (int i = 1; i < count; ++i) {
    GElf_Sym symbol;
    GElf_Addr address = 0;
    GElf_Word section = 0;
    Elf* elf = nullptr;
    const char* name =
        ::dwfl_module_getsym_info(module_, i, &symbol, &address, &section, &elf, nullptr);
    if (!is_code_symbol(symbol, name)) continue;
    const std::uint64_t end = symbol.st_size == 0 ? end_of_section(elf, section) : 0;
    symbols_.add({address, symbol.st_size, end, name, binding_of(symbol)});
  }
  symbols_.finish();
}

std::string DebugModule::symbol_at(std::uint64_t address) {
  has_lines();  // a file of debug information has symbols as well
  load_symbols();
  const char* name = symbols_.find(address);
  return name == nullptr ? "" : name_of(name);
}

// The inlined functions and what they are in; false: the unit knows no function there.
bool DebugModule::add_scopes(Dwarf_Die* unit, std::uint64_t address,
                             std::vector<SourceFrame>& frames) {
  ScopeIndex& scopes = scopes_of(unit);
  const ScopeIndex::Scope* scope = scopes.find(address - bias_);
  if (scope == nullptr) return false;
  frames.back().function = name_of(scopes.names_of(*scope).function);
  for (; scope->inlined; scope = scopes.parent_of(*scope)) {
    const ScopeIndex::Scope* outer = scopes.parent_of(*scope);
    if (outer == nullptr) break;
    const ScopeIndex::Names call = scopes.names_of(*scope);
    frames.push_back({name_of(scopes.names_of(*outer).function), call.call_file, call.call_line});
  }
  return true;
}

// Where some units are in the table of ranges and others are not, libdw takes what lies between for
// a part of the one before.
bool DebugModule::add_other_unit(Dwarf_Die* unit, std::uint64_t address,
                                 std::vector<SourceFrame>& frames) {
  Dwarf_Die* other = unit_by_ranges(address);
  if (other == nullptr || ::dwarf_dieoffset(other) == ::dwarf_dieoffset(unit)) return false;
  std::vector<SourceFrame> found{line_of_unit(other, address)};
  if (!add_scopes(other, address, found)) return false;
  frames = std::move(found);
  return true;
}

std::vector<SourceFrame> DebugModule::resolve(std::uint64_t address) {
  std::vector<SourceFrame> frames(1);
  if (Dwarf_Die* unit = unit_of(address)) {
    frames.front() = line_at(unit, address);
    if (!add_scopes(unit, address, frames) && !add_other_unit(unit, address, frames))
      frames.front().function = symbol_at(address);
  } else {
    frames.front().function = symbol_at(address);
  }
  // A function of the unit's that has no name there may have a symbol.
  if (frames.back().function.empty()) frames.back().function = symbol_at(address);
  if (frames.size() == 1 && frames[0].function.empty() && frames[0].file.empty()) frames.clear();
  return frames;
}

}  // namespace memspy::symbolize

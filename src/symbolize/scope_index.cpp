#include "symbolize/scope_index.h"

#include <dwarf.h>

namespace memspy::symbolize {
namespace {

// Of one unit. The largest known, of a program that is compiled as one, has some million.
constexpr std::size_t kMaxUnitEntries = 16U << 20;
constexpr std::size_t kMaxDepth = 256;
constexpr std::size_t kMaxRanges = 1U << 16;  // of one function

const char* string_of(Dwarf_Die* die, unsigned int name) {
  Dwarf_Attribute attribute;
  Dwarf_Attribute* found = ::dwarf_attr_integrate(die, name, &attribute);
  return found == nullptr ? nullptr : ::dwarf_formstring(found);
}

std::string function_name(Dwarf_Die* die) {
  for (const unsigned int name : {DW_AT_MIPS_linkage_name, DW_AT_linkage_name, DW_AT_name}) {
    if (const char* text = string_of(die, name)) return text;
  }
  return "";
}

bool is_scope(int tag) { return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine; }

// What may hold functions that have code.
bool leads_on(int tag) {
  return is_scope(tag) || tag == DW_TAG_lexical_block || tag == DW_TAG_namespace ||
         tag == DW_TAG_module || tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
         tag == DW_TAG_union_type || tag == DW_TAG_common_block || tag == DW_TAG_with_stmt ||
         tag == DW_TAG_try_block || tag == DW_TAG_catch_block || tag == DW_TAG_entry_point;
}

// Classes of C++ are full of them, and there is no code below.
bool is_declaration(Dwarf_Die* die, int tag) {
  return tag == DW_TAG_subprogram && ::dwarf_hasattr(die, DW_AT_declaration) != 0;
}

std::uint64_t number_of(Dwarf_Die* die, unsigned int name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (::dwarf_attr(die, name, &attribute) == nullptr || ::dwarf_formudata(&attribute, &value) != 0)
    return 0;
  return value;
}

}  // namespace

std::string whole_path(const char* name, const char* folder) {
  if (name == nullptr) return "";
  if (*name == '/' || folder == nullptr || *folder == '\0') return name;
  return std::string(folder) + "/" + name;
}

ScopeIndex::ScopeIndex(Dwarf_Die* unit) : folder_(string_of(unit, DW_AT_comp_dir)) {
  if (::dwarf_getsrcfiles(unit, &files_, &file_count_) != 0) files_ = nullptr;
  walk(unit, 0, 0);
}

void ScopeIndex::walk(Dwarf_Die* parent, std::size_t scope, std::size_t depth) {
  Dwarf_Die child;
  if (depth > kMaxDepth || ::dwarf_child(parent, &child) != 0) return;
  do {
    if (++visited_ > kMaxUnitEntries) return;
    const int tag = ::dwarf_tag(&child);
    if (!leads_on(tag) || is_declaration(&child, tag)) continue;
    const std::size_t inner = is_scope(tag) ? add(&child, scope) : scope;
    walk(&child, inner, depth + 1);
  } while (::dwarf_siblingof(&child, &child) == 0);
}

// A declaration, or what is only ever inlined, has no code and is no scope.
std::size_t ScopeIndex::add(Dwarf_Die* die, std::size_t parent) {
  const std::size_t index = scopes_.size();
  bool any = false;
  Dwarf_Addr base = 0, begin = 0, end = 0;
  std::ptrdiff_t offset = 0;
  for (std::size_t i = 0; i < kMaxRanges; ++i) {
    offset = ::dwarf_ranges(die, offset, &base, &begin, &end);
    if (offset <= 0) break;
    if (begin >= end) continue;
    if (!any) scopes_.emplace_back();
    any = true;
    paint(begin, end, index, parent);
  }
  if (!any) return parent;
  Scope& scope = scopes_[index];
  scope.inlined = ::dwarf_tag(die) == DW_TAG_inlined_subroutine;
  scope.parent = scope.inlined ? static_cast<std::uint32_t>(parent) : 0;
  scope.die = *die;
  return index;
}

ScopeIndex::Names ScopeIndex::read_names(const Scope& scope) const {
  Dwarf_Die die = scope.die;
  Names names{function_name(&die), "", 0};
  if (!scope.inlined) return names;
  const std::uint64_t file = number_of(&die, DW_AT_call_file);
  if (files_ != nullptr && file < file_count_)
    names.call_file = whole_path(::dwarf_filesrc(files_, file, nullptr, nullptr), folder_);
  names.call_line = static_cast<std::int32_t>(number_of(&die, DW_AT_call_line) & 0x7fffffff);
  return names;
}

const ScopeIndex::Names& ScopeIndex::names_of(const Scope& scope) {
  Scope& own = scopes_[static_cast<std::size_t>(&scope - scopes_.data())];
  if (own.names == 0) {
    own.names = static_cast<std::uint32_t>(names_.size());
    names_.push_back(read_names(own));
  }
  return names_[own.names];
}

// Of two scopes side by side the first has what both cover: as elfutils' dwarf_getscopes() has it.
void ScopeIndex::paint(std::uint64_t begin, std::uint64_t end, std::size_t scope,
                       std::size_t parent) {
  split(begin);
  split(end);
  for (auto it = starts_.find(begin); it != starts_.end() && it->first < end; ++it)
    if (it->second == parent) it->second = scope;
}

void ScopeIndex::split(std::uint64_t address) {
  const auto above = starts_.upper_bound(address);
  if (std::prev(above)->first != address)
    starts_.emplace_hint(above, address, std::prev(above)->second);
}

const ScopeIndex::Scope* ScopeIndex::find(std::uint64_t address) const {
  const std::size_t scope = std::prev(starts_.upper_bound(address))->second;
  return scope == 0 ? nullptr : &scopes_[scope];
}

}  // namespace memspy::symbolize

#include "symbolize/scope_index.h"

#include <dwarf.h>

#include <algorithm>

namespace memspy::symbolize {
namespace {

constexpr std::size_t kMaxDepth = 256;
constexpr std::size_t kMaxRanges = 1U << 16;  // of one function
constexpr std::size_t kMaxOpen = 1024;        // scopes around one address; honest ones are nested

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

// Is this the skeleton of a unit whose entries are in a .dwo file, and has libdw found that one?
bool is_split(Dwarf_Die* unit, Dwarf_Die& split) {
  std::uint8_t type = 0;
  return ::dwarf_cu_info(unit->cu, nullptr, &type, nullptr, &split, nullptr, nullptr, nullptr) ==
             0 &&
         type == DW_UT_skeleton && split.cu != nullptr;
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
  Dwarf_Die split{};
  if (is_split(unit, split)) unit = &split;
  dwarf_ = ::dwarf_cu_getdwarf(unit->cu);
  if (::dwarf_getsrcfiles(unit, &files_, &file_count_) != 0) files_ = nullptr;
  walk(unit);
  find_starts();
}

void ScopeIndex::walk(Dwarf_Die* unit) {
  UnitWalk walk(unit);
  std::vector<std::size_t> scopes;  // that entries of this depth are in; the unit: 0
  while (const auto entry = walk.next()) {
    // Classes of C++ are full of declarations, and there is no code below.
    const bool is_function = entry->tag == DW_TAG_subprogram;
    if (entry->depth > kMaxDepth || (is_function && entry->declaration)) {
      walk.skip_inside();
      continue;
    }
    scopes.resize(entry->depth + 1);
    const std::size_t scope = scopes.back();
    scopes.push_back(is_scope(entry->tag) ? add(*entry, scope) : scope);
  }
}

// A declaration, or what is only ever inlined, has no code and is no scope.
std::size_t ScopeIndex::add(const UnitWalk::Entry& entry, std::size_t parent) {
  const std::size_t index = scopes_.size();
  if (entry.elsewhere)
    add_ranges(entry.offset, index, parent);
  else
    add_range(entry.begin, entry.end, index, parent);
  if (scopes_.size() == index) return parent;
  Scope& scope = scopes_[index];
  scope.entry = entry.offset;
  scope.inlined = entry.tag == DW_TAG_inlined_subroutine;
  scope.parent = scope.inlined ? static_cast<std::uint32_t>(parent) : 0;
  return index;
}

void ScopeIndex::add_ranges(Dwarf_Off entry, std::size_t scope, std::size_t parent) {
  Dwarf_Die die;
  if (::dwarf_offdie(dwarf_, entry, &die) == nullptr) return;
  Dwarf_Addr base = 0, begin = 0, end = 0;
  std::ptrdiff_t offset = 0;
  for (std::size_t i = 0; i < kMaxRanges; ++i) {
    offset = ::dwarf_ranges(&die, offset, &base, &begin, &end);
    if (offset <= 0) break;
    add_range(begin, end, scope, parent);
  }
}

void ScopeIndex::add_range(std::uint64_t begin, std::uint64_t end, std::size_t scope,
                           std::size_t parent) {
  if (begin >= end) return;
  if (scopes_.size() == scope) scopes_.emplace_back();
  ranges_.push_back(
      {begin, end, static_cast<std::uint32_t>(scope), static_cast<std::uint32_t>(parent)});
}

ScopeIndex::Names ScopeIndex::read_names(const Scope& scope) const {
  Dwarf_Die die;
  if (::dwarf_offdie(dwarf_, scope.entry, &die) == nullptr) return {};
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

// From the lowest address to the highest, with the ranges that are open there. A scope counts where
// its parent does; of two side by side the first has what both cover: as elfutils'
// dwarf_getscopes() has it.
void ScopeIndex::find_starts() {
  struct Edge {
    std::uint64_t address;
    std::uint32_t range;
    bool opens;
  };
  std::vector<Edge> edges;
  edges.reserve(2 * ranges_.size());
  for (std::uint32_t i = 0; i < ranges_.size(); ++i) {
    edges.push_back({ranges_[i].begin, i, true});
    edges.push_back({ranges_[i].end, i, false});
  }
  std::sort(edges.begin(), edges.end(),
            [](const Edge& a, const Edge& b) { return a.address < b.address; });
  std::vector<std::uint32_t> open;  // ranges, in their order
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const Edge& edge = edges[i];
    const auto place = std::lower_bound(open.begin(), open.end(), edge.range);
    const bool known = place != open.end() && *place == edge.range;
    if (edge.opens && !known && open.size() < kMaxOpen) open.insert(place, edge.range);
    if (!edge.opens && known) open.erase(place);
    if (i + 1 < edges.size() && edges[i + 1].address == edge.address) continue;
    std::uint32_t scope = 0;
    for (const std::uint32_t range : open)
      if (ranges_[range].parent == scope) scope = ranges_[range].scope;
    if (starts_.empty() || starts_.back().scope != scope) starts_.push_back({edge.address, scope});
  }
  ranges_ = {};
}

const ScopeIndex::Scope* ScopeIndex::find(std::uint64_t address) const {
  const auto above = std::upper_bound(
      starts_.begin(), starts_.end(), address,
      [](std::uint64_t wanted, const Start& start) { return wanted < start.address; });
  if (above == starts_.begin()) return nullptr;
  const std::size_t scope = std::prev(above)->scope;
  return scope == 0 ? nullptr : &scopes_[scope];
}

}  // namespace memspy::symbolize

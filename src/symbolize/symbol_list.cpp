#include "symbolize/symbol_list.h"

#include <algorithm>

namespace memspy::symbolize {
namespace {

// Of two that cover an address: the more visible one, the one that begins nearer, the smaller one.
bool better(const ListedSymbol& a, const ListedSymbol& b) {
  if (a.begin != b.begin)
    return a.binding > b.binding || (a.binding == b.binding && a.begin > b.begin);
  if (a.binding != b.binding) return a.binding > b.binding;
  return a.size < b.size;
}

}  // namespace

void SymbolList::finish() {
  std::stable_sort(symbols_.begin(), symbols_.end(),
                   [](const auto& a, const auto& b) { return a.begin < b.begin; });
  reach_.clear();
  std::uint64_t reach = 0;
  for (const ListedSymbol& symbol : symbols_) {
    const std::uint64_t end = symbol.begin + std::min(symbol.size, ~symbol.begin);
    reach_.push_back(reach = std::max(reach, end));
  }
}

const char* SymbolList::find(std::uint64_t address) const {
  const auto above = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                                      [](std::uint64_t at, const auto& s) { return at < s.begin; });
  constexpr std::size_t kMaxSteps = 1024;  // a hostile table has a symbol over all others
  const ListedSymbol* best = nullptr;
  std::size_t at = static_cast<std::size_t>(above - symbols_.begin());
  for (std::size_t steps = 0; at > 0 && steps < kMaxSteps && reach_[at - 1] > address; ++steps) {
    const ListedSymbol& symbol = symbols_[--at];
    const bool covers = address - symbol.begin < symbol.size;
    // Of equals the first of the table: this goes backwards.
    if (covers && (best == nullptr || !better(*best, symbol))) best = &symbol;
  }
  if (best != nullptr) return best->name;
  // Without a size, as hand-written assembly has: the last one, if nothing else ends behind it.
  if (above == symbols_.begin()) return nullptr;
  const std::size_t last = static_cast<std::size_t>(above - symbols_.begin()) - 1;
  const ListedSymbol& nearest = symbols_[last];
  const bool last_there = reach_[last] <= nearest.begin && address < nearest.section_end;
  return nearest.size == 0 && last_there ? nearest.name : nullptr;
}

}  // namespace memspy::symbolize

#include <algorithm>

#include "snapshot/analysis.h"
#include "snapshot/dominator_numbering.h"

namespace memspy::snapshot {
namespace {

using namespace node_state;

// Semi-NCA (Georgiadis): semidominators as Lengauer and Tarjan find them, with path compression,
// then the dominator as the nearest common ancestor, walked up in the tree that grows from the
// root. Works on numbers of the search; leaves idom by number in the first column it is given.
class SemiNca {
 public:
  SemiNca(Column<TreeLink>& links, DominatorNumbering::Referrers& referrers, std::uint32_t count)
      : links_(links), begins_(referrers.begins), numbers_(referrers.numbers), count_(count) {}

  Column<std::uint32_t> run() {
    Column<std::uint32_t> idom(count_);
    for (std::uint32_t x = 1; x < count_; ++x) {
      idom[x] = links_[x].parent;
      links_[x].label = x;
    }
    // The semidominator of x is written over the begin of x + 1, which nobody reads any more.
    for (std::uint32_t x = count_ - 1; x != 0; --x) {
      const std::uint32_t semi = semidominator(x);
      links_[x].label = semi;
      begins_[x + 1] = semi;
    }
    for (std::uint32_t x = 1; x < count_; ++x) {
      const std::uint32_t semi = begins_[x + 1];
      std::uint32_t up = idom[x];
      while (up > semi) up = idom[up];
      idom[x] = up;
    }
    return idom;
  }

 private:
  std::uint32_t semidominator(std::uint32_t x) {
    std::uint32_t semi = links_[x].parent;
    const std::uint32_t end = begins_[x + 1];
    for (std::uint32_t i = begins_[x]; i < end; ++i) {
      const std::uint32_t from = numbers_[i];
      semi = std::min(semi, from < x ? from : lowest_on_path(from, x));
    }
    return semi;
  }

  // The lowest semidominator on the tree path from `from` up to, but not including, the first node
  // at or below number `x`, whose own is not known yet; compresses the path. The way back is kept
  // in the links themselves, turned round: a path may be as long as the heap.
  std::uint32_t lowest_on_path(std::uint32_t from, std::uint32_t x) {
    std::uint32_t top = from, below = 0;
    while (links_[top].parent > x) {
      const std::uint32_t next = links_[top].parent;
      links_[top].parent = below;
      below = top;
      top = next;
    }
    const std::uint32_t end = links_[top].parent;
    std::uint32_t lowest = links_[top].label;
    while (below != 0) {
      const std::uint32_t next = links_[below].parent;
      lowest = links_[below].label = std::min(lowest, links_[below].label);
      links_[below].parent = end;
      below = next;
    }
    return lowest;
  }

  Column<TreeLink>& links_;
  Column<std::uint32_t>& begins_;
  Column<std::uint32_t>& numbers_;
  std::uint32_t count_;
};

// Folded nodes are garbage when what they were folded into is; chains of them may be long, so each
// is walked once.
void spread_garbage(const std::vector<std::uint32_t>& idom, std::vector<std::uint8_t>& garbage,
                    std::uint8_t unknown) {
  for (std::uint32_t n = 0; n < idom.size(); ++n) {
    std::uint32_t known = n;
    while (garbage[known] == unknown) known = idom[known];
    for (std::uint32_t at = n; garbage[at] == unknown; at = idom[at]) garbage[at] = garbage[known];
  }
}

// States become dominators; numbers say what is garbage.
void to_nodes(const DominatorNumbering& numbering, const Column<std::uint32_t>& idom,
              const Column<std::uint32_t>& vertex, Dominators& result) {
  constexpr std::uint8_t kUnknown = 2;
  const bool any_garbage = numbering.first_garbage() != numbering.count();
  for (std::uint32_t n = 0; n < result.idom.size(); ++n) {
    std::uint32_t& state = result.idom[n];
    if (tag(state) == kFolded) {
      state &= kPayload;
      if (any_garbage) result.garbage[n] = kUnknown;
    } else {
      result.garbage[n] = state >= numbering.first_garbage() ? 1 : 0;
      state = vertex[idom[state]];
    }
  }
  if (any_garbage) spread_garbage(result.idom, result.garbage, kUnknown);
}

template <typename T>
void resize_huge(std::vector<T>& values, std::size_t size) {
  values.reserve(size);
  prefer_huge_pages(values.data(), size * sizeof(T));
  values.resize(size);
}

}  // namespace

Dominators compute_dominators(const ObjectGraph& graph) {
  const std::uint32_t count = graph.node_count();
  Dominators result;
  resize_huge(result.idom, count);
  resize_huge(result.retained, count);
  for (std::uint32_t n = 0; n < count; ++n) result.retained[n] = graph.bytes({n});
  DominatorNumbering numbering(graph, result.idom, result.retained);
  Column<std::uint32_t> idom;
  {
    auto referrers = numbering.take_referrers();
    idom = SemiNca(numbering.links(), referrers, numbering.count()).run();
  }
  numbering.links() = {};
  const auto& vertex = numbering.vertex();
  for (std::uint32_t x = numbering.count() - 1; x != 0; --x) {
    if (idom[x] != 0) result.retained[vertex[idom[x]]] += result.retained[vertex[x]];
  }
  resize_huge(result.garbage, count);
  to_nodes(numbering, idom, vertex, result);
  return result;
}

}  // namespace memspy::snapshot

#include <algorithm>
#include <memory>

#include "base/parallel.h"
#include "snapshot/analysis.h"
#include "snapshot/dominator_numbering.h"

namespace memspy::snapshot {
namespace {

using namespace node_state;

constexpr std::uint32_t kLinksAhead = 16;  // how far ahead what is read at random is fetched

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
      // Numbers go down, and with them the places of their referrers.
      if (i >= kLinksAhead) __builtin_prefetch(&links_[numbers_[i - kLinksAhead]], 1);
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

// States become dominators; numbers say what is garbage. `into`: the node of each number's
// dominator.
void to_nodes(const DominatorNumbering& numbering, const Column<std::uint32_t>& into,
              Dominators& result) {
  constexpr std::uint8_t kUnknown = 2;
  const bool any_garbage = numbering.first_garbage() != numbering.count();
  in_shares(result.idom.size(), [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t n = begin; n < end; ++n) {
      if (n + kLinksAhead < end)
        __builtin_prefetch(&into.data()[result.idom[n + kLinksAhead] & kPayload]);
      std::uint32_t& state = result.idom[n];
      if (tag(state) == kFolded) {
        state &= kPayload;
        if (any_garbage) result.garbage[n] = kUnknown;
      } else {
        result.garbage[n] = state >= numbering.first_garbage() ? 1 : 0;
        state = into[state];
      }
    }
  });
  if (any_garbage) spread_garbage(result.idom, result.garbage, kUnknown);
}

// From the highest number down each node's bytes go to its dominator.
void sum_up(const Column<std::uint32_t>& idom, const Column<std::uint32_t>& vertex,
            std::vector<std::uint64_t>& retained) {
  for (std::uint32_t x = static_cast<std::uint32_t>(idom.size()) - 1; x != 0; --x) {
    if (x > 2 * kLinksAhead) {
      __builtin_prefetch(&vertex[idom[x - 2 * kLinksAhead]]);
      __builtin_prefetch(&retained[vertex[x - kLinksAhead]]);
      if (idom[x - kLinksAhead] != 0)
        __builtin_prefetch(&retained[vertex[idom[x - kLinksAhead]]], 1);
    }
    if (idom[x] != 0) retained[vertex[idom[x]]] += retained[vertex[x]];
  }
}

// Zeros, in pages that several threads ask the kernel for: that takes longer than to fill them.
template <typename T>
void resize_huge(std::vector<T>& values, std::size_t size) {
  values.reserve(size);
  prefer_huge_pages(values.data(), size * sizeof(T));
  in_shares(size, [&](std::uint64_t begin, std::uint64_t end) {
    populate_pages(values.data() + begin, (end - begin) * sizeof(T));
  });
  values.resize(size);
}

// Of each node with what was folded into it.
void take_sums(const UnitSums& sums, std::vector<std::uint64_t>& retained) {
  in_shares(retained.size(), [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t n = begin; n < end; ++n)
      retained[n] = sums.bytes(static_cast<std::uint32_t>(n));
  });
}

}  // namespace

Dominators compute_dominators(const ObjectGraph& graph) {
  const std::uint32_t count = graph.node_count();
  Dominators result;
  resize_huge(result.idom, count);
  auto sums = std::make_unique<UnitSums>(graph);
  DominatorNumbering numbering(graph, result.idom, *sums);
  Column<std::uint32_t> idom;
  {
    auto referrers = numbering.take_referrers();
    idom = SemiNca(numbering.links(), referrers, numbering.count()).run();
  }
  numbering.links() = {};
  resize_huge(result.retained, count);
  take_sums(*sums, result.retained);
  sums.reset();
  sum_up(idom, numbering.vertex(), result.retained);
  in_shares(numbering.count(), [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t x = begin; x < end; ++x) idom[x] = numbering.vertex()[idom[x]];
  });
  resize_huge(result.garbage, count);
  to_nodes(numbering, idom, result);
  return result;
}

}  // namespace memspy::snapshot

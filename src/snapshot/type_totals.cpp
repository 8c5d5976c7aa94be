#include "snapshot/analysis.h"
#include "snapshot/bits.h"

namespace memspy::snapshot {
namespace {

// Walks the dominator tree with a count of the open instances of each type. Only the nodes that can
// make a difference are linked into it: those that dominate something, and the leaves of their
// types.
class NestedTypes {
 public:
  NestedTypes(const ObjectGraph& graph, const Dominators& dominators,
              std::vector<TypeTotals>& totals)
      : graph_(graph),
        dominators_(dominators),
        totals_(totals),
        inner_(graph.node_count()),
        nests_(totals.size()),
        open_(totals.size()),
        first_child_(graph.node_count()),
        sibling_(graph.node_count()) {}

  void run() {
    find_inner();
    const std::uint32_t tops = link();
    for (std::uint32_t top = tops; top != kNone; top = sibling_[top]) walk(top);
  }

 private:
  void find_inner() {
    for (const std::uint32_t above : dominators_.idom) {
      if (above != kNone) inner_.add(above);
    }
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) {
      if (inner_.contains(n)) nests_[graph_.type({n}).value] = 1;
    }
  }

  // Descending, so that siblings come in order of address; returns the first below the virtual
  // root.
  std::uint32_t link() {
    std::uint32_t tops = kNone;
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) first_child_[n] = kNone;
    for (std::uint32_t n = graph_.node_count(); n-- != 0;) {
      const std::uint32_t type = graph_.type({n}).value;
      if (nests_[type] == 0) {
        totals_[type].retained += dominators_.retained[n];
        continue;
      }
      const std::uint32_t above = dominators_.idom[n];
      std::uint32_t& head = above == kNone ? tops : first_child_[above];
      sibling_[n] = head;
      head = n;
    }
    return tops;
  }

  void enter(std::uint32_t n) {
    const std::uint32_t type = graph_.type({n}).value;
    if (open_[type]++ == 0) totals_[type].retained += dominators_.retained[n];
  }

  void walk(std::uint32_t top) {
    std::uint32_t at = top;
    enter(at);
    for (;;) {
      if (first_child_[at] != kNone) {
        at = first_child_[at];
        enter(at);
        continue;
      }
      while (true) {
        --open_[graph_.type({at}).value];
        if (at == top) return;
        if (sibling_[at] != kNone) break;
        at = dominators_.idom[at];
      }
      at = sibling_[at];
      enter(at);
    }
  }

  const ObjectGraph& graph_;
  const Dominators& dominators_;
  std::vector<TypeTotals>& totals_;
  NodeSet inner_;
  std::vector<std::uint8_t> nests_;  // by type: an instance dominates something
  std::vector<std::uint32_t> open_;  // by type: instances above the walk
  Column<std::uint32_t> first_child_, sibling_;
};

}  // namespace

std::vector<TypeTotals> totals_by_type(const ObjectGraph& graph, const Dominators& dominators) {
  std::vector<TypeTotals> totals(graph.types().size());
  for (std::uint32_t t = 0; t < totals.size(); ++t) totals[t].type = {t};
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
    TypeTotals& total = totals[graph.type({n}).value];
    ++total.count;
    total.bytes += graph.bytes({n});
  }
  if (graph.node_count() != 0) NestedTypes(graph, dominators, totals).run();
  return totals;
}

}  // namespace memspy::snapshot

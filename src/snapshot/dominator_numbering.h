// The first half of the dominators: which nodes take part, in which order a depth-first search
// meets them, and how they are tied to the tree of that search. Nothing recurses: lists of millions
// of links are real.
#pragma once

#include <cstdint>
#include <vector>

#include "base/column.h"
#include "snapshot/bits.h"
#include "snapshot/object_graph.h"
#include "snapshot/unit_sums.h"

namespace memspy::snapshot {

// What is known of a node while dominators are computed, in the one word that becomes its immediate
// dominator: a number, its only referrer, or one of the states above them all.
namespace node_state {
inline constexpr std::uint32_t kTagShift = 30;
inline constexpr std::uint32_t kPayload = (1U << kTagShift) - 1;
inline constexpr std::uint32_t kNumbered = 0U << kTagShift;  // + number in the search, from 1
inline constexpr std::uint32_t kSole = 1U << kTagShift;      // + the only node that refers to it
inline constexpr std::uint32_t kFolded = 2U << kTagShift;    // + its immediate dominator
inline constexpr std::uint32_t kUnseen = 3U << kTagShift;    // nothing refers to it
inline constexpr std::uint32_t kMany = kUnseen + 1;          // several do
inline constexpr std::uint32_t kRoot = kUnseen + 2;          // the virtual root does
inline std::uint32_t tag(std::uint32_t state) { return state & ~kPayload; }
}  // namespace node_state

struct TreeLink {
  std::uint32_t parent = 0;  // in the search tree, by number; later compressed
  // Position of the search among the edges; later the lowest semidominator.
  std::uint32_t label = 0;
};

// A search over strong edges from a virtual root, number 0, below which hang the roots, and then
// one object of each strongly connected part of the garbage that no other garbage refers to.
//
// Folded on the way, and never numbered: objects that one object refers to and that lead nowhere
// else: their dominator is that referrer, and they matter to nobody else's. References to roots are
// left out: nothing but the virtual root dominates a root.
class DominatorNumbering {
 public:
  // `states` becomes idom in the end; in `sums` folded nodes are added to their referrers.
  DominatorNumbering(const ObjectGraph& graph, std::vector<std::uint32_t>& states, UnitSums& sums);

  // Numbers are dense from 1; vertex()[0] is kNoNode.
  std::uint32_t count() const { return next_; }
  // Numbers from here on are garbage. Garbage refers to what is alive, but does not keep it.
  std::uint32_t first_garbage() const { return first_garbage_; }
  Column<std::uint32_t>& vertex() { return vertex_; }
  Column<TreeLink>& links() { return links_; }
  // Referrers of each number by other references than those of the search's tree, as numbers: those
  // of x are [begins[x], begins[x + 1]) of the second column. Built by counting; once.
  struct Referrers {
    Column<std::uint32_t> begins, numbers;
  };
  Referrers take_referrers();

 private:
  void find_sole_referrers();
  void find_sole_referrers(std::uint32_t first, std::uint32_t end, NodeSet& leads_on);
  void fold_leaves();
  void number_roots();
  void number_garbage();
  void search(std::uint32_t start);
  std::uint32_t enter(std::uint32_t node, std::uint32_t parent);
  bool descend(std::uint32_t& at);
  void fetch_targets(std::uint32_t node) const;
  std::uint32_t leave(std::uint32_t at);
  template <typename Visit>
  void for_referrers(std::uint32_t first, std::uint32_t end, const std::uint32_t* soon,
                     const Visit& visit) const;
  std::vector<std::uint32_t> garbage_by_finish();
  bool is_weak(std::uint32_t node, std::uint32_t edge) const {
    return has_weak_.contains(node) && labels_[edge].weak();
  }

  const std::uint32_t* begins_;
  const std::uint32_t* targets_;
  const EdgeLabel* labels_;
  std::uint64_t edge_count_;
  std::uint32_t node_count_;
  std::span<const HeapRoot> roots_;
  std::vector<std::uint32_t>& states_;
  UnitSums& sums_;
  NodeSet has_weak_;    // read the labels of its edges
  NodeSet leads_on_;    // it refers to something that is not a root
  NodeSet tops_;        // it hangs below the virtual root
  NodeSet tree_edges_;  // by edge: the search went along it
  Column<std::uint32_t> vertex_;
  Column<TreeLink> links_;
  std::uint32_t next_ = 1;
  std::uint32_t first_garbage_ = 0;
};

}  // namespace memspy::snapshot

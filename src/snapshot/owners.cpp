#include <algorithm>
#include <numeric>

#include <spdlog/fmt/fmt.h>

#include "snapshot/analysis.h"
#include "snapshot/bits.h"
#include "snapshot/holder_names.h"

namespace memspy::snapshot {
namespace {

constexpr std::uint32_t kSeveral = kNone - 1;  // referrers
constexpr int kMaxFollowed = 64;               // referrers of referrers

// Who refers to something that nobody has alone, in one word: a package, or several, and what else.
namespace sharing {
constexpr std::uint32_t kPackages = (1U << 24) - 1;  // 0: none; kPackages: several; else number + 1
constexpr std::uint32_t kThreads = 1U << 24;
constexpr std::uint32_t kInterpreter = 1U << 25;
constexpr std::uint32_t kFunctions = 1U << 26;

std::uint32_t join(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t pa = a & kPackages, pb = b & kPackages;
  const std::uint32_t packages = pa == 0 ? pb : pb == 0 || pa == pb ? pa : kPackages;
  return ((a | b) & ~kPackages) | packages;
}
}  // namespace sharing

class OwnerFinder {
 public:
  OwnerFinder(const ObjectGraph& graph, const Dominators& dominators)
      : graph_(graph), dominators_(dominators) {}

  Owners run() {
    result_.owner_of.assign(graph_.node_count(), kNone);
    name_holders();
    follow_referrers();
    mark_tops();
    spread();
    name_shared();
    total();
    return std::move(result_);
  }

 private:
  std::uint32_t owner(const std::string& name, std::uint32_t share) {
    const auto [at, added] =
        by_name_.try_emplace(name, static_cast<std::uint32_t>(result_.owners.size()));
    if (added) {
      result_.owners.push_back({name, 0, 0});
      shares_.push_back(share);
    }
    return at->second;
  }

  std::uint32_t share_of(const Holder& holder) {
    switch (holder.rank) {
      case HolderRank::kModule:
      case HolderRank::kGlobal:
      case HolderRank::kAttribute: {
        const auto package = holder.name.substr(0, holder.name.find('.'));
        const auto at =
            packages_.try_emplace(package, static_cast<std::uint32_t>(package_names_.size() + 1));
        if (at.second) package_names_.push_back(package);
        return std::min(at.first->second, sharing::kPackages);
      }
      case HolderRank::kFunction:
        return sharing::kFunctions;
      case HolderRank::kFrame:
      case HolderRank::kThread:
        return sharing::kThreads;
      default:
        return sharing::kInterpreter;
    }
  }

  void name_holders() {
    const HolderNames names(graph_, dominators_);
    for (const auto& [node, holder] : names.by_node()) {
      result_.owner_of[node] = owner(holder.name, share_of(holder));
      if (holder.rank == HolderRank::kFrame) passing_.emplace(node, result_.owner_of[node]);
    }
  }

  // A frame holds its locals for a moment: what is part of another object all the time belongs to
  // that object's owner, or the name would be another in every look.
  void follow_referrers() {
    if (passing_.empty()) return;
    find_only_referrers();
    for (const auto& [node, referrer] : only_referrer_) {
      if (referrer != kSeveral) result_.owner_of[node] = kNone;
    }
    std::erase_if(only_referrer_, [](const auto& entry) { return entry.second == kSeveral; });
    std::vector<std::uint32_t> back;  // to the frame's name
    for (const auto& [node, referrer] : only_referrer_) {
      if (!leads_to_a_holder(referrer)) back.push_back(node);
    }
    for (const std::uint32_t node : back) {
      result_.owner_of[node] = passing_.at(node);
      only_referrer_.erase(node);
    }
  }

  void find_only_referrers() {
    const auto begins = graph_.edge_begins();
    const auto targets = graph_.all_targets();
    const auto labels = graph_.all_labels();
    NodeSet wanted(graph_.node_count());
    for (const auto& [node, name] : passing_) wanted.add(node);
    std::vector<bool> is_frame;
    for (const HeapType& type : graph_.types()) is_frame.push_back(type.name == "builtins.frame");
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) {
      if (dominators_.garbage[n] != 0 || is_frame[graph_.type({n}).value]) continue;
      for (std::uint32_t e = begins[n]; e < begins[n + 1]; ++e) {
        if (!wanted.contains(targets[e]) || labels[e].weak() || targets[e] == n) continue;
        const auto [at, first] = only_referrer_.try_emplace(targets[e], n);
        if (!first && at->second != n) at->second = kSeveral;
      }
    }
  }

  // What a node belongs to when it has no name of its own; kNone: to nothing.
  std::uint32_t above(std::uint32_t node) const {
    if (dominators_.idom[node] != kNone) return dominators_.idom[node];
    const auto referrer = only_referrer_.find(node);
    return referrer == only_referrer_.end() ? kNone : referrer->second;
  }

  // Not in a circle, as where a child refers to its parent.
  bool leads_to_a_holder(std::uint32_t node) const {
    for (int followed = 0; node != kNone && followed < kMaxFollowed;) {
      if (result_.owner_of[node] != kNone) return true;
      followed += dominators_.idom[node] == kNone ? 1 : 0;
      node = above(node);
    }
    return false;
  }

  // What hangs directly below the virtual root without a name: garbage, or shared.
  void mark_tops() {
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) {
      if (result_.owner_of[n] != kNone || above(n) != kNone) continue;
      if (garbage_ == kNone) {
        garbage_ = owner("garbage", 0);
        shared_ = owner("shared", 0);
      }
      result_.owner_of[n] = dominators_.garbage[n] != 0 ? garbage_ : shared_;
    }
  }

  // Down the dominator tree: each node is walked twice at most, in whatever order they come.
  void spread() {
    auto& owner_of = result_.owner_of;
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) {
      std::uint32_t known = n;
      while (owner_of[known] == kNone) known = above(known);
      const std::uint32_t found = owner_of[known];
      for (std::uint32_t at = n; owner_of[at] == kNone; at = above(at)) owner_of[at] = found;
    }
  }

  bool is_shared_top(std::uint32_t n) const {
    return result_.owner_of[n] == shared_ && dominators_.idom[n] == kNone;
  }

  void name_shared() {
    if (shared_ == kNone) return;
    Column<std::uint32_t> share(graph_.node_count());
    const auto begins = graph_.edge_begins();
    const auto targets = graph_.all_targets();
    const auto labels = graph_.all_labels();
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) {
      const std::uint32_t mine = shares_[result_.owner_of[n]];
      if (mine == 0) continue;
      for (std::uint32_t e = begins[n]; e < begins[n + 1]; ++e) {
        if (is_shared_top(targets[e]) && !labels[e].weak())
          share[targets[e]] = sharing::join(share[targets[e]], mine);
      }
    }
    NodeSet tops(graph_.node_count());
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) {
      if (is_shared_top(n)) tops.add(n);
    }
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) {
      if (tops.contains(n)) {
        result_.owner_of[n] = owner(shared_name(share[n]), 0);
      } else if (result_.owner_of[n] == shared_) {
        result_.owner_of[n] = kNone;
      }
    }
    spread();
  }

  std::string shared_name(std::uint32_t share) const {
    const std::uint32_t packages = share & sharing::kPackages;
    if ((share & sharing::kInterpreter) != 0)
      return packages != 0 ? "shared by modules and the interpreter" : "shared in the interpreter";
    if ((share & sharing::kThreads) != 0)
      return packages != 0 ? "shared by modules and threads" : "shared by threads";
    if (packages == sharing::kPackages) return "shared by several modules";
    if (packages != 0) return fmt::format("shared within {}", package_names_[packages - 1]);
    return (share & sharing::kFunctions) != 0 ? "shared by functions" : "shared";
  }

  void total() {
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) {
      OwnerTotals& totals = result_.owners[result_.owner_of[n]];
      ++totals.count;
      totals.bytes += graph_.bytes({n});
    }
    std::vector<std::uint32_t> order(result_.owners.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      const auto &x = result_.owners[a], &y = result_.owners[b];
      return x.bytes != y.bytes ? x.bytes > y.bytes : x.owner < y.owner;
    });
    std::vector<OwnerTotals> sorted;
    std::vector<std::uint32_t> place(order.size(), kNone);
    for (const std::uint32_t i : order) {
      if (result_.owners[i].count == 0) continue;
      place[i] = static_cast<std::uint32_t>(sorted.size());
      sorted.push_back(std::move(result_.owners[i]));
    }
    for (auto& one : result_.owner_of) one = place[one];
    result_.owners = std::move(sorted);
  }

  const ObjectGraph& graph_;
  const Dominators& dominators_;
  Owners result_;
  std::unordered_map<std::string, std::uint32_t> by_name_, packages_;
  std::unordered_map<std::uint32_t, std::uint32_t> passing_;  // held by a frame -> that owner
  std::unordered_map<std::uint32_t, std::uint32_t> only_referrer_;
  std::vector<std::uint32_t> shares_;  // by owner
  std::vector<std::string> package_names_;
  std::uint32_t garbage_ = kNone, shared_ = kNone;
};

}  // namespace

Owners find_owners(const ObjectGraph& graph, const Dominators& dominators) {
  return OwnerFinder(graph, dominators).run();
}

}  // namespace memspy::snapshot

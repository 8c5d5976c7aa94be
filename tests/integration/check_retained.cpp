// Retained sizes of a snapshot against their definition: what can no longer be reached when an
// object is taken away. For tests, of heaps of some ten thousand objects: each of them is a walk
// over all.
//
//   check_retained FILE.memsnap      prints {"objects", "garbage", "floods", "wrong": ["…"]}
#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "snapshot/snapshot_file.h"

namespace memspy::snapshot {
namespace {

constexpr std::size_t kShown = 10;

class Definition {
 public:
  explicit Definition(const OpenedSnapshot& opened)
      : graph_(opened.snapshot.graph), dominators_(opened.dominators), seen_(graph_.node_count()) {
    for (const HeapRoot& root : graph_.roots()) roots_.push_back(root.to.value);
    flood(roots_, kNoNode.value, /*into_alive=*/true);
    alive_.resize(graph_.node_count());
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n) alive_[n] = seen_[n] == mark_;
    for (std::uint32_t n = 0; n < graph_.node_count(); ++n)
      if (!alive_[n] && dominators_.idom[n] == kNoNode.value && is_source(n)) sources_.push_back(n);
    alive_bytes_ = reached_by(roots_, kNoNode.value, true);
    garbage_bytes_ = reached_by(sources_, kNoNode.value, false);
  }

  bool alive(std::uint32_t n) const { return alive_[n]; }
  std::uint64_t retained(std::uint32_t n) {
    return alive_[n] ? alive_bytes_ - reached_by(roots_, n, true)
                     : garbage_bytes_ - reached_by(sources_, n, false);
  }
  // Refers to nothing: nothing else can go with it.
  bool leaf(std::uint32_t n) const { return graph_.targets({n}).empty(); }

 private:
  // Marks what strong references lead to, never `without`; of garbage, never what is alive.
  void flood(const std::vector<std::uint32_t>& starts, std::uint32_t without, bool into_alive) {
    ++mark_;
    todo_.clear();
    const auto reach = [&](std::uint32_t n) {
      if (n == without || seen_[n] == mark_ || (!into_alive && alive_[n])) return;
      seen_[n] = mark_;
      todo_.push_back(n);
    };
    for (const std::uint32_t start : starts) reach(start);
    for (std::size_t done = 0; done < todo_.size(); ++done) {
      const NodeIndex from{todo_[done]};
      const auto targets = graph_.targets(from);
      const auto labels = graph_.labels(from);
      for (std::size_t i = 0; i < targets.size(); ++i)
        if (!labels[i].weak()) reach(targets[i]);
    }
  }
  std::uint64_t reached_by(const std::vector<std::uint32_t>& starts, std::uint32_t without,
                           bool into_alive) {
    flood(starts, without, into_alive);
    std::uint64_t bytes = 0;
    for (const std::uint32_t n : todo_) bytes += graph_.bytes({n});
    return bytes;
  }
  // No garbage leads to it but what it leads to itself.
  bool is_source(std::uint32_t n) {
    flood({n}, kNoNode.value, false);
    const std::vector<std::uint32_t> below = todo_;
    for (std::uint32_t other = 0; other < graph_.node_count(); ++other) {
      if (alive_[other] || std::find(below.begin(), below.end(), other) != below.end()) continue;
      flood({other}, kNoNode.value, false);
      if (seen_[n] == mark_) return false;
    }
    return true;
  }

  const ObjectGraph& graph_;
  const Dominators& dominators_;
  std::vector<std::uint32_t> seen_, todo_, roots_, sources_;
  std::vector<bool> alive_;
  std::uint32_t mark_ = 0;
  std::uint64_t alive_bytes_ = 0, garbage_bytes_ = 0;
};

int check(const OpenedSnapshot& opened) {
  const ObjectGraph& graph = opened.snapshot.graph;
  Definition definition(opened);
  std::uint64_t garbage = 0, floods = 0;
  std::vector<std::string> wrong;
  for (std::uint32_t n = 0; n < graph.node_count() && wrong.size() < kShown; ++n) {
    garbage += definition.alive(n) ? 0 : 1;
    const bool leaf = definition.leaf(n);
    floods += leaf ? 0 : 1;
    const std::uint64_t truth = leaf ? graph.bytes({n}) : definition.retained(n);
    if (truth == opened.dominators.retained[n] &&
        definition.alive(n) == (opened.dominators.garbage[n] == 0))
      continue;
    wrong.push_back(fmt::format("\"{} at {:#x} retains {}, not {}\"", graph.type_name({n}),
                                graph.address({n}).value, truth, opened.dominators.retained[n]));
  }
  fmt::print("{{\"objects\":{},\"garbage\":{},\"floods\":{},\"wrong\":[{}]}}\n", graph.node_count(),
             garbage, floods, fmt::join(wrong, ","));
  return 0;
}

}  // namespace
}  // namespace memspy::snapshot

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto opened = memspy::snapshot::open_snapshot(argv[1]);
  if (!opened.has_value() || !opened->damage.empty()) {
    fmt::print(stderr, "{} is no whole snapshot\n", argv[1]);
    return 1;
  }
  return memspy::snapshot::check(*opened);
}

// Writes the snapshots that snapshot_fuzz begins with: small, with every kind of section.
#include <cstdio>
#include <string>

#include "snapshot/graph_builder.h"
#include "snapshot/snapshot_file.h"

namespace {

using namespace memspy;            // NOLINT
using namespace memspy::snapshot;  // NOLINT

Snapshot small(bool values) {
  GraphBuilder builder;
  builder.on_name({1}, "app");
  builder.on_name({2}, "CACHE");
  builder.on_types(
      std::vector<HeapType>{{{0x10}, "builtins.dict", false}, {{0x5000}, "app.R", true}});
  std::vector<HeapNode> nodes;
  for (std::uint64_t i = 0; i < 8; ++i)
    nodes.push_back({{0x4000 + i * 0x1000},
                     {static_cast<std::uint32_t>(i % 2)},
                     kNodeGcTracked,
                     i == 7 ? 1ULL << 40 : 64});
  nodes.push_back({{0x700000000000}, {0}, 0, 16});
  builder.on_objects(nodes);
  builder.on_edges({0}, std::vector<HeapEdge>{{{1}, EdgeKind::kDict, false, 0}});
  builder.on_edges({1}, std::vector<HeapEdge>{{{2}, EdgeKind::kAttribute, false, 2},
                                              {{3}, EdgeKind::kKey, false, 4},
                                              {{4}, EdgeKind::kKeyItself, false, 4}});
  builder.on_edges({2}, std::vector<HeapEdge>{{{3}, EdgeKind::kIndex, true, 7}});
  builder.on_edges({5}, std::vector<HeapEdge>{{{6}, EdgeKind::kClosure, false, 2}});
  builder.on_edges({6}, std::vector<HeapEdge>{{{5}, EdgeKind::kWord, false, 24}});
  builder.on_labels(std::vector<HeapLabel>{{{5}, {2}}});
  builder.on_roots(
      std::vector<HeapRoot>{{{0}, RootKind::kModule, {1}}, {{8}, RootKind::kFrame, {2}}});
  Snapshot snapshot;
  snapshot.graph = std::move(builder.finish()).value();
  snapshot.header.command_line = {"python3"};
  snapshot.header.values = values;
  snapshot.texts = {{4, "'k'"}};
  snapshot.string_marks = {{3, 5, 0xabc}, {4, 1, 0xdef}};
  snapshot.ledger = {{"live objects", 64, ""}};
  GcSummary gc;
  gc.generations.resize(3);
  snapshot.gc = {gc};
  return snapshot;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  for (const bool values : {false, true}) {
    const Snapshot snapshot = small(values);
    const auto dominators = values ? compute_dominators(snapshot.graph) : Dominators();
    const auto path = folder + (values ? "/values.memsnap" : "/plain.memsnap");
    if (!write_snapshot(path, snapshot, dominators).has_value()) return 1;
  }
  return 0;
}

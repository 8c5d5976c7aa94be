#include "support/snapshot_builder.h"

#include <gtest/gtest.h>

#include "snapshot/graph_builder.h"

namespace memspy::testing {
namespace {

constexpr std::uint64_t kFirstAddress = 0x7f0000000100, kStep = 0x100;
constexpr std::uint64_t kTypes = 0x560000000000;
constexpr std::uint8_t kOld = kNodeGcTracked | 2U << kNodeGenerationShift;

}  // namespace

NodeIndex SnapshotBuilder::object(const std::string& type, std::uint64_t bytes,
                                  std::uint8_t flags) {
  const std::uint64_t address =
      nodes_.empty() ? kFirstAddress : nodes_.back().address.value + kStep;
  return object_at(address, type, bytes, flags);
}

NodeIndex SnapshotBuilder::object_at(std::uint64_t address, const std::string& type,
                                     std::uint64_t bytes, std::uint8_t flags) {
  const auto [it, fresh] = type_index_.try_emplace(type, static_cast<std::uint32_t>(types_.size()));
  if (fresh)
    types_.push_back(
        {RemoteAddr{kTypes + kStep * types_.size()}, type, !type.starts_with("builtins.")});
  const NodeIndex node{static_cast<std::uint32_t>(nodes_.size())};
  nodes_.push_back({RemoteAddr{address}, TypeIndex{it->second}, flags, bytes});
  return node;
}

std::uint32_t SnapshotBuilder::name(const std::string& text) {
  const auto [it, fresh] =
      name_index_.try_emplace(text, static_cast<std::uint32_t>(names_.size()) + 1);
  if (fresh) names_.push_back(text);
  return it->second;
}

void SnapshotBuilder::edge(NodeIndex from, HeapEdge edge) { edges_[from.value].push_back(edge); }

void SnapshotBuilder::attribute(NodeIndex from, const std::string& text, NodeIndex to) {
  edge(from, {to, EdgeKind::kAttribute, false, name(text)});
}
void SnapshotBuilder::local(NodeIndex from, const std::string& text, NodeIndex to) {
  edge(from, {to, EdgeKind::kLocal, false, name(text)});
}
void SnapshotBuilder::internal(NodeIndex from, const std::string& text, NodeIndex to) {
  edge(from, {to, EdgeKind::kInternal, false, name(text)});
}
void SnapshotBuilder::index(NodeIndex from, std::uint32_t at, NodeIndex to) {
  edge(from, {to, EdgeKind::kIndex, false, at});
}
void SnapshotBuilder::key(NodeIndex from, NodeIndex key, NodeIndex value) {
  edge(from, {key, EdgeKind::kKeyItself, false, key.value});
  edge(from, {value, EdgeKind::kKey, false, key.value});
}
void SnapshotBuilder::label(NodeIndex node, const std::string& text) {
  labels_.push_back({node, NameIndex{name(text)}});
}
void SnapshotBuilder::root(RootKind kind, const std::string& text, NodeIndex to) {
  roots_.push_back({to, kind, NameIndex{name(text)}});
}
void SnapshotBuilder::text(NodeIndex node, const std::string& text) { texts_[node.value] = text; }

NodeIndex SnapshotBuilder::module(const std::string& text) {
  const NodeIndex module = object("builtins.module", 72, kOld);
  const NodeIndex dict = object("builtins.dict", 232, kOld);
  label(module, text);
  root(RootKind::kModule, text, module);
  edge(module, {dict, EdgeKind::kDict, false, 0});
  return dict;
}

snapshot::Snapshot SnapshotBuilder::build() {
  snapshot::GraphBuilder builder;
  for (std::uint32_t i = 0; i < names_.size(); ++i) builder.on_name(NameIndex{i + 1}, names_[i]);
  builder.on_types(types_);
  builder.on_objects(nodes_);
  for (const auto& [from, edges] : edges_) builder.on_edges(NodeIndex{from}, edges);
  builder.on_labels(labels_);
  builder.on_roots(roots_);
  auto graph = builder.finish();
  EXPECT_TRUE(graph.has_value()) << graph.error().message;
  snapshot::Snapshot snapshot;
  snapshot.graph = std::move(*graph);
  snapshot.texts = texts_;
  auto& header = snapshot.header;
  header.memspy_version = "0.1.0";
  header.process = {Pid{4242}, 1001};
  header.process_name = "python3";
  header.command_line = {"python3", "/srv/app/app.py"};
  header.python_version = "3.11.7";
  header.wall_time = std::chrono::milliseconds(1700000000250);
  header.pause = std::chrono::milliseconds(83);
  header.rss_bytes = 1 << 20;
  header.source = "process 4242";
  return snapshot;
}

HeapSample::HeapSample(snapshot::Snapshot from)
    : snapshot(std::move(from)),
      dominators(compute_dominators(snapshot.graph)),
      owners(find_owners(snapshot.graph, dominators)) {}

HeapSample sample_heap(std::uint32_t sessions) {
  SnapshotBuilder b;
  const NodeIndex app = b.module("app");
  const NodeIndex table = b.object("builtins.dict", 4688, kOld);
  b.attribute(app, "SESSIONS", table);
  for (std::uint32_t i = 0; i < sessions; ++i) {
    const NodeIndex key = b.object("builtins.str", 56);
    b.text(key, "'user" + std::to_string(i) + "'");
    const NodeIndex session = b.object("app.Session", 64, kOld);
    const NodeIndex rows = b.object("builtins.list", 120, kOld);
    b.key(table, key, session);
    b.attribute(session, "rows", rows);
    for (std::uint32_t row = 0; row < 2; ++row)
      b.index(rows, row, b.object("builtins.bytes", 2048));
  }
  const NodeIndex handler = b.object("builtins.function", 160, kOld);
  b.label(handler, "handler");
  b.attribute(app, "handler", handler);
  const NodeIndex frame_rows = b.object("builtins.list", 88, kNodeGcTracked);
  b.root(RootKind::kFrame, "thread MainThread frame serve:88 local rows", frame_rows);
  b.index(frame_rows, 0, b.object("<weird> & \"type\"", 48));
  const NodeIndex type = b.object("builtins.type", 0, kNodeStatic | kNodeImmortal);
  b.root(RootKind::kType, "builtins.dict", type);
  const NodeIndex one = b.object("app.Node", 56, kNodeGcTracked);
  const NodeIndex other = b.object("app.Node", 56, kNodeGcTracked);
  b.attribute(one, "next", other);
  b.attribute(other, "prev", one);
  const NodeIndex reference = b.object("weakref.ReferenceType", 72, kNodeGcTracked);
  b.attribute(app, "watch", reference);
  b.edge(reference, {one, EdgeKind::kInternal, true, 0});

  snapshot::Snapshot snapshot = b.build();
  snapshot.ledger = {{"live objects: dict", 5152, ""},
                     {"malloc free", 200000, "malloc_trim would give back 180 KiB"},
                     {"unexplained", (1 << 20) - 205152, ""}};
  snapshot::GcSummary gc;
  gc.enabled = true;
  gc.generations = {{700, 3, 12, 40, 0, 3}, {10, 4, 2, 8, 0, 0}, {10, 1, 1, 0, 0, 6}};
  snapshot.gc = {gc};
  return HeapSample(std::move(snapshot));
}

}  // namespace memspy::testing

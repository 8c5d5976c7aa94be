// What other programs read of a heap, by their own rules. Whole texts stand in tests/golden.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <protozero/pbf_reader.hpp>
#include <set>
#include <sstream>

#include "sinks/heapsnapshot_plan.h"
#include "sinks/owner_stacks.h"
#include "sinks/snapshot_formats.h"
#include "support/result_matchers.h"
#include "support/snapshot_builder.h"

namespace memspy::sinks {
namespace {

using memspy::testing::HeapSample;
using memspy::testing::IsOk;
using memspy::testing::sample_heap;
using memspy::testing::SnapshotBuilder;
using nlohmann::json;
using ::testing::HasSubstr;

std::string written(const char* format, const HeapSample& heap) {
  std::ostringstream out;
  EXPECT_THAT(find_snapshot_format(format)->write(heap.look(), {}, out), IsOk());
  return out.str();
}

// A .heapsnapshot as DevTools reads it: flat arrays of the fields that the head names.
struct V8File {
  json document;
  std::vector<std::uint64_t> nodes, edges;
  explicit V8File(const std::string& text) : document(json::parse(text)) {
    nodes = document["nodes"].get<std::vector<std::uint64_t>>();
    edges = document["edges"].get<std::vector<std::uint64_t>>();
  }
  std::size_t size() const { return nodes.size() / 7; }
  std::uint64_t field(std::size_t node, std::size_t at) const { return nodes[7 * node + at]; }
  std::string name(std::size_t node) const { return document["strings"][field(node, 1)]; }
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < size(); ++i) sum += field(i, 3);
    return sum;
  }
  // (type, name or index, target) of the edges of a node.
  std::vector<std::array<std::uint64_t, 3>> edges_of(std::size_t node) const {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < node; ++i) begin += field(i, 4);
    std::vector<std::array<std::uint64_t, 3>> out;
    for (std::size_t i = begin; i < begin + field(node, 4); ++i)
      out.push_back({edges[3 * i], edges[3 * i + 1], edges[3 * i + 2] / 7});
    return out;
  }
  std::size_t find(const std::string& wanted) const {
    for (std::size_t i = 0; i < size(); ++i)
      if (name(i) == wanted) return i;
    ADD_FAILURE() << "no node " << wanted;
    return 0;
  }
};

void expect_consistent(const V8File& file) {
  const auto& head = file.document["snapshot"];
  EXPECT_EQ(file.nodes.size(), 7 * head["node_count"].get<std::size_t>());
  EXPECT_EQ(file.edges.size(), 3 * head["edge_count"].get<std::size_t>());
  std::uint64_t out_degrees = 0;
  std::set<std::uint64_t> ids;
  for (std::size_t i = 0; i < file.size(); ++i) {
    out_degrees += file.field(i, 4);
    EXPECT_TRUE(ids.insert(file.field(i, 2)).second) << "an id twice";
    EXPECT_EQ(file.field(i, 2) % 2, 1U);
    EXPECT_LT(file.field(i, 1), file.document["strings"].size());
  }
  EXPECT_EQ(3 * out_degrees, file.edges.size());
  const auto strings = file.document["strings"].get<std::vector<std::string>>();
  EXPECT_EQ(std::set<std::string>(strings.begin(), strings.end()).size(), strings.size());
  for (std::size_t i = 2; i < file.edges.size(); i += 3) {
    EXPECT_EQ(file.edges[i] % 7, 0U);
    EXPECT_LT(file.edges[i], file.nodes.size());
  }
}

TEST(HeapSnapshotFile, KeysStandInTheOrderOfTheReader) {
  const std::string text = written("heapsnapshot", sample_heap());
  EXPECT_EQ(text.rfind("{\"snapshot\":{", 0), 0U);
  std::size_t at = 0;
  for (const char* key : {"\"snapshot\":", "\"nodes\":", "\"edges\":", "\"trace_function_infos\":",
                          "\"trace_tree\":", "\"samples\":", "\"locations\":", "\"strings\":"}) {
    const std::size_t next = text.find(key, at);
    ASSERT_NE(next, std::string::npos) << key;
    at = next;
  }
}

TEST(HeapSnapshotFile, CountsAndReferencesHoldTogether) {
  const HeapSample heap = sample_heap(50);
  const V8File file(written("heapsnapshot", heap));
  expect_consistent(file);
  EXPECT_EQ(file.total(), heap.snapshot.graph.total_bytes());
}

TEST(HeapSnapshotFile, AStringStandsOnceWhateverItNames) {
  // A module, a type, an attribute and contents of one name; two that look alike on one line.
  SnapshotBuilder b;
  const NodeIndex app = b.module("same");
  const NodeIndex object = b.object("same", 64);
  const NodeIndex one = b.object("builtins.str", 56), two = b.object("builtins.str", 56);
  const NodeIndex newline = b.object("builtins.str", 56), letters = b.object("builtins.str", 56);
  b.attribute(app, "same", object);
  for (const NodeIndex to : {one, two, newline, letters}) b.index(object, to.value, to);
  HeapSample heap(b.build());
  heap.snapshot.texts = {{one.value, "'same'"},
                         {two.value, "'same'"},
                         {newline.value, "'a\nb'"},
                         {letters.value, "'a\\nb'"}};
  const V8File file(written("heapsnapshot", heap));
  expect_consistent(file);
  std::size_t alike = 0;
  for (std::size_t i = 0; i < file.size(); ++i) alike += file.name(i) == "same" ? 1 : 0;
  EXPECT_EQ(alike, 3U);  // the object and the two strings
}

TEST(HeapSnapshotFile, TheLastNodeHoldsNothing) {
  // As a reader needs it, also where the last object holds another.
  SnapshotBuilder b;
  const NodeIndex app = b.module("app");
  const NodeIndex held = b.object("builtins.list", 56), last = b.object("builtins.list", 56);
  b.attribute(app, "last", last);
  b.index(last, 0, held);
  const HeapSample heap(b.build());
  const V8File file(written("heapsnapshot", heap));
  expect_consistent(file);
  EXPECT_EQ(file.field(file.size() - 1, 4), 0U);
  EXPECT_EQ(file.edges_of(0).back()[2], file.size() - 1);
}

TEST(HeapSnapshotFile, ModulesHangBelowTheRootByName) {
  const V8File file(written("heapsnapshot", sample_heap()));
  EXPECT_EQ(file.field(0, 0), 9U);  // synthetic
  const auto edges = file.edges_of(0);
  ASSERT_FALSE(edges.empty());
  EXPECT_EQ(edges[0][0], 2U);  // property
  EXPECT_EQ(file.document["strings"][edges[0][1]], "app");
  EXPECT_NE(file.field(edges[0][2], 0), 9U);  // a user root is not synthetic
}

TEST(HeapSnapshotFile, GarbageAndWeakReferencesKeepNothingElseAlive) {
  const V8File file(written("heapsnapshot", sample_heap()));
  // One of the two: the other hangs on it.
  EXPECT_EQ(file.field(file.find("(garbage)"), 4), 1U);
  const auto edges = file.edges_of(file.find("weakref.ReferenceType"));
  ASSERT_EQ(edges.size(), 1U);
  EXPECT_EQ(edges[0][0], 6U);  // weak
}

TEST(HeapSnapshotFile, WhatIsLargerThanThirtyTwoBitsIsSplit) {
  SnapshotBuilder b;
  const NodeIndex app = b.module("app");
  const std::uint64_t huge = (std::uint64_t{9} << 30) + 8;
  b.attribute(app, "blob", b.object("builtins.bytes", huge));
  const HeapSample heap(b.build());
  const V8File file(written("heapsnapshot", heap));
  expect_consistent(file);
  EXPECT_EQ(file.total(), heap.snapshot.graph.total_bytes());
  for (std::size_t i = 0; i < file.size(); ++i) EXPECT_LE(file.field(i, 3), 0xffffffffU);
}

TEST(HeapSnapshotFile, IdsAreThoseOfTheObjects) {
  V8Ids ids(10), same(10);
  EXPECT_EQ(ids.take(0x7f0000000100, 1), same.take(0x7f0000000100, 1));
  EXPECT_NE(ids.take(0x7f0000000200, 1), ids.take(0x7f0000000200, 2));
  // Taken already: the next free one.
  const std::uint32_t first = same.take(0x1000, 7);
  EXPECT_NE(same.take(0x1000, 7), first);
}

TEST(HeapSnapshotFile, NamesThatDevToolsWouldCutAreChanged) {
  EXPECT_EQ(v8_class_name("<weird> x"), "(weird> x");
  EXPECT_EQ(v8_class_name("Object"), "python.Object");
  EXPECT_EQ(v8_class_name("app.Rec"), "app.Rec");
}

TEST(HeapSnapshotFile, StringsHaveTheirContentOnlyWhereItIsKnown) {
  HeapSample heap = sample_heap();
  EXPECT_THAT(written("heapsnapshot", heap), HasSubstr("\"user0\""));
  heap.snapshot.texts.clear();
  const std::string text = written("heapsnapshot", heap);
  EXPECT_EQ(text.find("user0"), std::string::npos);
  // Without marks: not taken for duplicates of each other.
  const V8File file(text);
  std::set<std::string> names;
  for (std::size_t i = 0; i < file.size(); ++i)
    if (file.field(i, 0) == 2) {
      EXPECT_TRUE(names.insert(file.name(i)).second);
    }
  EXPECT_EQ(names.size(), 3U);
}

TEST(HeapSnapshotFile, StringsThatSayTheSameHaveOneNameWithoutTheirContent) {
  SnapshotBuilder b;
  const NodeIndex list = b.object("builtins.list", 120);
  b.attribute(b.module("app"), "texts", list);
  std::vector<NodeIndex> texts;
  for (std::uint32_t i = 0; i < 6; ++i) {
    texts.push_back(b.object("builtins.str", 64));
    b.index(list, i, texts.back());
  }
  HeapSample heap(b.build());
  // The last could not be read; the one before has another length, the third another hash.
  heap.snapshot.string_marks = {{texts[0].value, 5, 0xabc},
                                {texts[1].value, 5, 0xabc},
                                {texts[2].value, 5, 0xabd},
                                {texts[3].value, 5, 0xabc},
                                {texts[4].value, 6, 0xabc}};
  const V8File file(written("heapsnapshot", heap));
  expect_consistent(file);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < file.size(); ++i)
    if (file.field(i, 0) == 2) names.push_back(file.name(i));
  EXPECT_THAT(names,
              ::testing::ElementsAre("str#5#0000000000000abc", "str#5#0000000000000abc",
                                     "str#5#0000000000000abd", "str#5#0000000000000abc",
                                     "str#6#0000000000000abc", ::testing::StartsWith("str@")));
  // With contents these are shown; one that was cut keeps what tells it from others.
  heap.snapshot.texts = {{texts[0].value, "'same'"}, {texts[2].value, "'long'…"}};
  const std::string text = written("heapsnapshot", heap);
  EXPECT_THAT(text, HasSubstr("\"same\""));
  EXPECT_THAT(text, HasSubstr("\"'long'… str#5#0000000000000abd\""));
}

TEST(OwnerStacksTest, SumToTheHeap) {
  const HeapSample heap = sample_heap();
  const OwnerStacks stacks = owner_stacks(heap.look());
  EXPECT_EQ(stacks.bytes, heap.snapshot.graph.total_bytes());
  for (const OwnerStack& stack : stacks.stacks) EXPECT_GE(stack.frames.size(), 2U);
}

TEST(OwnerStacksTest, ALinkedListIsNoTallerThanItsTypes) {
  SnapshotBuilder b;
  NodeIndex at = b.module("app");
  for (int i = 0; i < 500; ++i) {
    const NodeIndex node = b.object("app.Link", 48);
    const NodeIndex dict = b.object("builtins.dict", 64);
    b.attribute(at, "next", node);
    b.edge(node, {dict, EdgeKind::kDict, false, 0});
    at = dict;
  }
  for (const OwnerStack& stack : owner_stacks(HeapSample(b.build()).look()).stacks)
    EXPECT_LE(stack.frames.size(), 5U);
}

TEST(OwnerFormats, FoldedLinesSumToTheHeap) {
  const HeapSample heap = sample_heap();
  std::istringstream lines(written("folded", heap));
  std::uint64_t total = 0;
  for (std::string line; std::getline(lines, line);)
    total += std::stoull(line.substr(line.rfind(' ') + 1));
  EXPECT_EQ(total, heap.snapshot.graph.total_bytes());
}

TEST(OwnerFormats, SpeedscopeHasBytesAndObjects) {
  const HeapSample heap = sample_heap();
  const json document = json::parse(written("speedscope", heap));
  ASSERT_EQ(document["profiles"].size(), 2U);
  EXPECT_EQ(document["profiles"][0]["unit"], "bytes");
  EXPECT_EQ(document["profiles"][0]["endValue"], heap.snapshot.graph.total_bytes());
}

std::string gunzip(const std::string& data) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
  std::string out(1 << 20, '\0'), input = data;
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

TEST(OwnerFormats, PprofIsAProfileOfInuseSpace) {
  const HeapSample heap = sample_heap();
  const std::string data = gunzip(written("pprof", heap));
  std::vector<std::string> strings;
  std::int64_t bytes = 0, default_type = 0;
  std::set<std::uint64_t> locations, used;
  protozero::pbf_reader profile(data);
  while (profile.next()) {
    if (profile.tag() == 2) {
      protozero::pbf_reader sample = profile.get_message();
      std::vector<std::int64_t> values;
      while (sample.next()) {
        if (sample.tag() == 1)
          for (const auto id : sample.get_packed_uint64()) used.insert(id);
        else
          for (const auto value : sample.get_packed_int64()) values.push_back(value);
      }
      ASSERT_EQ(values.size(), 2U);
      bytes += values[1];
    } else if (profile.tag() == 4) {
      protozero::pbf_reader location = profile.get_message();
      ASSERT_TRUE(location.next(1));
      locations.insert(location.get_uint64());
    } else if (profile.tag() == 6) {
      strings.push_back(profile.get_string());
    } else if (profile.tag() == 14) {
      default_type = profile.get_int64();
    } else {
      profile.skip();
    }
  }
  EXPECT_EQ(strings.at(0), "");
  EXPECT_EQ(strings.at(static_cast<std::size_t>(default_type)), "inuse_space");
  EXPECT_EQ(bytes, static_cast<std::int64_t>(heap.snapshot.graph.total_bytes()));
  EXPECT_TRUE(std::includes(locations.begin(), locations.end(), used.begin(), used.end()));
}

TEST(SnapshotFormats, AreFoundByNameAndSuffix) {
  EXPECT_EQ(find_snapshot_format_for("x.pb.gz")->name, "pprof");
  EXPECT_EQ(find_snapshot_format_for("x.heapsnapshot")->name, "heapsnapshot");
  EXPECT_EQ(find_snapshot_format_for("x.speedscope.json")->name, "speedscope");
  EXPECT_EQ(find_snapshot_format_for("x.txt"), nullptr);
  EXPECT_EQ(find_snapshot_format("poem"), nullptr);
}

}  // namespace
}  // namespace memspy::sinks

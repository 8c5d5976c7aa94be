// What objects refer to, in the layout of every version: containers, instances, functions, frames.
#include <map>

#include "cpython/heap/reference_counts.h"
#include "cpython/heap/root_reader.h"
#include "heap_edges.h"
#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::FrameSpec;
using testing::PyProcess;

class EveryEdge : public HeapEdges {};
INSTANTIATE_TEST_SUITE_P(Minor, EveryEdge, ::testing::Range(6, 16));

TEST_P(EveryEdge, Sequences) {
  const std::vector<RemoteAddr> t = {thing(), thing(), thing()};
  EXPECT_EQ(edges(image().add_list(t), type(TypeRule::kList, Struct::kList), t),
            (Shown{"0:[0]", "1:[1]", "2:[2]"}));
  EXPECT_EQ(edges(image().add_tuple(t), type(TypeRule::kTuple, Struct::kTuple), t),
            (Shown{"0:[0]", "1:[1]", "2:[2]"}));
  EXPECT_EQ(edges(image().add_list({}), type(TypeRule::kList, Struct::kList), t), Shown{});
}

TEST_P(EveryEdge, AListWithAnEmptySlotKeepsItsNumbers) {
  const std::vector<RemoteAddr> t = {thing(), RemoteAddr{}, thing()};
  EXPECT_EQ(edges(image().add_list(t), type(TypeRule::kList, Struct::kList), t),
            (Shown{"0:[0]", "2:[2]"}));
}

TEST_P(EveryEdge, DictsOfEveryTable) {
  const std::vector<RemoteAddr> t = {str("a"), thing(), str("b"), thing()};
  const RemoteAddr dict = image().add_dict({{t[0], t[1]}, {t[2], t[3]}});
  const TypeFacts& facts = type(TypeRule::kDict, Struct::kDict);
  EXPECT_EQ(edges(dict, facts, t), (Shown{"0:key", "1:[key 0]", "2:key", "3:[key 2]"}));
  const RemoteAddr keys{image().get(dict, Field::kDictKeys)};
  if (layout().strategies.dict_keys != DictKeysKind::kLog2Sizes) return;
  // The same as a table of str keys only: entries of {key, value}.
  image().put(keys, Field::kDictKeysKind, 1);
  const RemoteAddr entries = keys + layout().offset(Field::kDictKeysIndices) + 8;
  for (std::uint64_t i = 0; i < 4; ++i) image().memory().write(entries + 8 * i, t[i].value);
  EXPECT_EQ(edges(dict, facts, t), (Shown{"0:key", "1:[key 0]", "2:key", "3:[key 2]"}));
}

TEST_P(EveryEdge, DeletedEntriesOfADictAreNone) {
  const std::vector<RemoteAddr> t = {str("a"), str("b"), thing()};
  const RemoteAddr dict = image().add_dict({{t[0], RemoteAddr{}}, {t[1], t[2]}});
  EXPECT_EQ(edges(dict, type(TypeRule::kDict, Struct::kDict), t), (Shown{"1:key", "2:[key 1]"}));
}

TEST_P(EveryEdge, ADictThatSharesItsKeysOwnsOnlyTheValues) {
  const std::vector<RemoteAddr> t = {str("a"), str("b"), thing()};
  const RemoteAddr dict = image().add_dict({{t[0], image().none()}, {t[1], image().none()}});
  const RemoteAddr values = image().allocate(layout().size(Struct::kDictValues) + 32);
  image().put(values, Field::kDictValuesCapacity, 2);
  image().memory().write(values + layout().offset(Field::kDictValuesItems) + 8, t[2].value);
  image().put(dict, Field::kDictValues, values.value);
  const TypeFacts& facts = type(TypeRule::kDict, Struct::kDict);
  EXPECT_EQ(edges(dict, facts, t), (Shown{"2:[key 1]"}));
  std::vector<RawEdge> names;
  reader_->read_shared_keys({image().get(dict, Field::kDictKeys)}, names);
  EXPECT_EQ(shown(names, t), (Shown{"0:<attribute name>", "1:<attribute name>"}));
  if (!layout().has(Field::kDictValuesEmbedded)) return;
  // Values inside the instance: from 3.14 on both tell of them.
  image().put(values, Field::kDictValuesEmbedded, 1);
  EXPECT_EQ(edges(dict, facts, t).size(), layout().strategies.dicts_own_embedded_values ? 1u : 0u);
}

TEST_P(EveryEdge, InternedStringsAreNotHeld) {
  const std::vector<RemoteAddr> t = {str("a")};
  const RemoteAddr dict = image().add_dict({{t[0], t[0]}});
  reader_->add_weak_dict(dict);
  EXPECT_EQ(edges(dict, type(TypeRule::kDict, Struct::kDict), t),
            (Shown{"0:weak key", "0:weak [key 0]"}));
}

TEST_P(EveryEdge, SetsWithoutTheirDeletedEntries) {
  const std::vector<RemoteAddr> t = {thing(), thing()};
  const RemoteAddr set = image().add_set(t);
  const RemoteAddr second{image().get(set, Field::kSetTable) + 32};  // every other slot is used
  EXPECT_EQ(edges(set, type(TypeRule::kSet, Struct::kSet), t), (Shown{"0:member", "1:member"}));
  image().memory().write(second + layout().offset(Field::kSetEntryHash), ~std::uint64_t{0});
  EXPECT_EQ(edges(set, type(TypeRule::kSet, Struct::kSet), t), (Shown{"0:member"}));
}

TEST_P(EveryEdge, DequesAcrossBlocks) {
  const std::vector<RemoteAddr> t = {thing(), thing(), thing()};
  const RemoteAddr deque = image().allocate(layout().size(Struct::kDeque));
  const RemoteAddr left = image().allocate(layout().size(Struct::kDequeBlock));
  const RemoteAddr right = image().allocate(layout().size(Struct::kDequeBlock));
  const std::uint32_t data = layout().offset(Field::kDequeBlockData);
  image().put(deque, Field::kVarObjectSize, 3);
  image().put(deque, Field::kDequeLeftBlock, left.value);
  image().put(deque, Field::kDequeLeftIndex, 62);
  image().put(left, Field::kDequeBlockRight, right.value);
  image().memory().write(left + data + 62 * 8, t[0].value);
  image().memory().write(left + data + 63 * 8, t[1].value);
  image().memory().write(right + data, t[2].value);
  EXPECT_EQ(edges(deque, type(TypeRule::kDeque, Struct::kDeque), t),
            (Shown{"0:[0]", "1:[1]", "2:[2]"}));
}

TEST_P(EveryEdge, ARingOfADequesBlocksEnds) {
  const RemoteAddr deque = image().allocate(layout().size(Struct::kDeque));
  const RemoteAddr block = image().allocate(layout().size(Struct::kDequeBlock));
  image().put(deque, Field::kVarObjectSize, ~std::uint64_t{0});
  image().put(deque, Field::kDequeLeftBlock, block.value);
  image().put(block, Field::kDequeBlockRight, block.value);
  reader_->set_budget(1000);
  EXPECT_EQ(edges(deque, type(TypeRule::kDeque, Struct::kDeque), {}), Shown{});
  EXPECT_TRUE(reader_->budget_spent());
}

// Wherever the version keeps them; see ObjectReader's test of the same.
TEST_P(EveryEdge, AttributesOfInstances) {
  constexpr std::size_t kBefore = 64, kBasicSize = 32;
  const InstanceDictKind kind = layout().strategies.instance_dict;
  const std::vector<RemoteAddr> t = {thing(), thing(), image().type("float")};
  const RemoteAddr shared =
      image().add_dict({{str("first"), image().none()}, {str("second"), image().none()}});
  TypeFacts& facts = type(TypeRule::kObject, Struct::kObject);
  facts.basic_size = kBasicSize;
  facts.flags = kTypeHeapType;
  facts.slots.push_back({16, types_->intern("slot")});
  if (kind == InstanceDictKind::kDictOffset) facts.dict_offset = 24;
  if (kind != InstanceDictKind::kDictOffset) facts.flags |= kTypeManagedDict;
  if (kind == InstanceDictKind::kInlineValues) facts.flags |= kTypeInlineValues;
  facts.cached_keys = RemoteAddr{image().get(shared, Field::kDictKeys)};
  const RemoteAddr instance = image().allocate(kBefore + 128) + kBefore;
  image().memory().write(instance + 16, t[0].value);
  RemoteAddr values = image().allocate(64);
  switch (kind) {
    case InstanceDictKind::kDictOffset:
      image().memory().write(instance + 24, t[1].value);
      EXPECT_EQ(edges(instance, facts, t), (Shown{"0:.slot", "1:dict", "2:<type>"}));
      return;
    case InstanceDictKind::kValuesAndDict:
      image().memory().write(instance - 32, values.value);
      break;
    case InstanceDictKind::kTaggedWord:
      image().memory().write(instance - 24, values.value - 1);
      break;
    case InstanceDictKind::kInlineValues:
      values = instance + kBasicSize;
      image().put(values, Field::kDictValuesCapacity, 2);
      image().put(values, Field::kDictValuesValid, 1);
      break;
  }
  image().memory().write(values + layout().offset(Field::kDictValuesItems) + 8, t[1].value);
  EXPECT_EQ(edges(instance, facts, t), (Shown{"0:.slot", "1:.second", "2:<type>"}));
}

TEST_P(EveryEdge, FunctionsNameTheirFreeVariables) {
  const RemoteAddr buffer = thing();
  testing::CodeSpec spec;
  spec.locals = {"x"};
  spec.frees = {"buf"};
  const RemoteAddr code = image().add_code(spec);
  const RemoteAddr cell = image().add_cell(buffer);
  const RemoteAddr closure = image().add_tuple({cell});
  const RemoteAddr function = image().add_function("outer.inner");
  image().put(function, Field::kFunctionCode, code.value);
  image().put(function, Field::kFunctionClosure, closure.value);
  const auto found =
      edges(function, type(TypeRule::kFunction, Struct::kFunction), {code, closure, cell});
  EXPECT_EQ(found.front(), "0:.__code__");
  EXPECT_EQ(found.back(), "2:closure buf");
  EXPECT_EQ(edges(cell, type(TypeRule::kCell, Struct::kCell), {buffer}), (Shown{"0:contents"}));
}

TEST_P(EveryEdge, FramesNameTheirVariables) {
  testing::CodeSpec spec;
  spec.locals = {"rows", "unset"};
  spec.cells = {"shared"};
  FrameSpec frame_spec;
  frame_spec.code = image().add_code(spec);
  frame_spec.values = {thing(), RemoteAddr{}, thing()};
  const RemoteAddr frame = image().push_frame(process_.main_thread(), frame_spec);
  std::vector<RawEdge> raw;
  reader_->read_frame(frame, raw);
  const auto found = shown(raw, {frame_spec.values[0], frame_spec.values[2]});
  EXPECT_EQ(std::count(found.begin(), found.end(), "0:local rows"), 1);
  EXPECT_EQ(std::count(found.begin(), found.end(), "1:local shared"), 1);
}

TEST_P(EveryEdge, WeakReferencesAreWeak) {
  const std::vector<RemoteAddr> t = {thing(), thing()};
  const RemoteAddr reference = image().allocate(layout().size(Struct::kWeakref));
  image().put(reference, Field::kWeakrefObject, t[0].value);
  image().put(reference, Field::kWeakrefCallback, t[1].value);
  EXPECT_EQ(edges(reference, type(TypeRule::kWeakref, Struct::kWeakref), t),
            (Shown{"0:weak <referent>", "1:.__callback__"}));
}

TEST_P(EveryEdge, WhatNobodyKnowsIsScannedAndSaysSo) {
  const std::vector<RemoteAddr> t = {thing(), thing(), thing()};
  const RemoteAddr object = image().allocate(64);
  TypeFacts& facts = type(TypeRule::kPlain, Struct::kObject);
  facts.basic_size = 48;
  facts.weaklist_offset = 40;
  facts.slots.push_back({16, types_->intern("known")});
  image().memory().write(object + 16, t[0].value);
  image().memory().write(object + 24, std::uint64_t{12345});  // no pointer
  image().memory().write(object + 32, t[1].value);
  image().memory().write(object + 40, t[2].value);  // the list of weak references
  std::vector<RawEdge> raw;
  EXPECT_TRUE(reader_->read(object, facts, raw));
  EXPECT_EQ(shown(raw, t), (Shown{"0:.known", "1:+32"}));
  EXPECT_EQ(plans_->plan_of(facts).how, "scan");
}

TEST_P(EveryEdge, GarbageGivesNothing) {
  const RemoteAddr list = image().add_list({thing()});
  image().put(list, Field::kListItems, 0x7fff00000000);
  image().put(list, Field::kVarObjectSize, 1 << 20);
  EXPECT_EQ(edges(list, type(TypeRule::kList, Struct::kList), {}), Shown{});
  const RemoteAddr dict = image().add_dict({{str("a"), thing()}});
  image().put({image().get(dict, Field::kDictKeys)}, Field::kDictKeysEntryCount, 1ULL << 50);
  EXPECT_EQ(edges(dict, type(TypeRule::kDict, Struct::kDict), {}), Shown{});
  EXPECT_EQ(edges(RemoteAddr{0x10}, type(TypeRule::kDict, Struct::kDict), {}), Shown{});
}

TEST_P(EveryEdge, RootsAreNamed) {
  FrameSpec frame_spec;
  testing::CodeSpec spec;
  spec.name = "serve";
  spec.locals = {"rows"};
  frame_spec.code = image().add_code(spec);
  frame_spec.instruction = 4;
  frame_spec.values = {thing()};
  if (layout().strategies.first_hidden_owner != 0xff) {  // the interpreter's own, at the root
    FrameSpec entry;
    entry.owner = layout().strategies.first_hidden_owner;
    entry.on_heap = true;
    image().put(image().push_frame(process_.worker(), entry), Field::kFramePrevious, 0);
  }
  image().push_frame(process_.worker(), frame_spec);
  RootReader roots(*interpreter_, process_.memory(), process_.symbols(), *plans_, *reader_);
  std::vector<RawRoot> raw;
  roots.read(raw);
  std::map<std::string, RawRoot> by_name;
  for (const RawRoot& root : raw) by_name.emplace(names_.texts[root.name.value], root);
  ASSERT_TRUE(by_name.contains("threading"));
  EXPECT_EQ(by_name.at("threading").kind, RootKind::kModule);
  EXPECT_FALSE(by_name.at("threading").owned);
  bool found = false;
  for (const auto& [text, root] : by_name) {
    if (root.to != frame_spec.values[0]) continue;
    EXPECT_EQ(root.kind, RootKind::kFrame);
    EXPECT_TRUE(text.starts_with("thread ") && text.ends_with(" frame serve:14 local rows"))
        << text;
    found = true;
  }
  EXPECT_TRUE(found);
}

TEST(ReferenceCounts, WhatIsNotFoundIsHeldByNativeCode) {
  ReferenceCounts counts(2);
  counts.add(HeapEdge{NodeIndex{1}, EdgeKind::kIndex, false, 0});
  counts.add(HeapEdge{NodeIndex{1}, EdgeKind::kClosure, false, 0});  // a shortcut
  counts.add(HeapEdge{NodeIndex{1}, EdgeKind::kInternal, true, 0});  // weak
  EXPECT_FALSE(counts.held_by_native(NodeIndex{1}, 1));
  EXPECT_TRUE(counts.held_by_native(NodeIndex{1}, 2));
  EXPECT_TRUE(counts.held_by_native(NodeIndex{0}, 1));
}

}  // namespace
}  // namespace memspy::cpython

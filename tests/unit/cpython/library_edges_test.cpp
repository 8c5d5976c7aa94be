// What objects of the standard library refer to besides their fields.
#include "heap_edges.h"

namespace memspy::cpython {
namespace {

class LibraryEdges : public HeapEdges {};
INSTANTIATE_TEST_SUITE_P(Minor, LibraryEdges, ::testing::Range(6, 16));

TEST_P(LibraryEdges, WhatAModuleKeepsBesideItsDict) {
  const std::vector<RemoteAddr> t = {str("atexit"), thing(), thing(), str("another")};
  auto& memory = image().memory();
  const RemoteAddr module = image().allocate(layout().size(Struct::kModule));
  const RemoteAddr state = image().allocate(16), table = image().allocate(16),
                   callback = image().allocate(24), def = image().allocate(0x40);
  memory.write(state, table.value);
  memory.write(state + 8, std::uint64_t{2});  // two, of which the first was unregistered
  memory.write(table + 8, callback.value);
  memory.write(callback, t[1].value);
  memory.write(callback + 8, t[2].value);
  memory.write(def + 0x38, std::uint64_t{16});
  image().put(module, Field::kModuleState, state.value);
  image().put(module, Field::kModuleDef, def.value);
  image().put(module, Field::kModuleStateSize, 16);
  image().put(module, Field::kModuleName, t[0].value);
  Shown expected = {"0:<name>", "?:+0"};  // a word of the state, for others to see what it is
  const TypeFacts& facts = type(TypeRule::kModule, Struct::kModule);
  if (layout().minor < 10) {
    expected.insert(expected.end(), {"1:<callback>", "2:<callback>"});
  }
  EXPECT_EQ(edges(module, facts, t), expected);
  image().put(module, Field::kModuleName, t[3].value);
  EXPECT_EQ(edges(module, facts, t), (Shown{"3:<name>", "?:+0"}));
}

TEST_P(LibraryEdges, AQueueThatRunsOverItsEnd) {
  if (layout().minor < 7) return;  // which has none
  const std::vector<RemoteAddr> t = {thing(), thing(), thing()};
  auto& memory = image().memory();
  const RemoteAddr queue = image().allocate(0x48), items = image().allocate(32);
  TypeFacts& facts = type(TypeRule::kPlain, Struct::kObject);
  facts.c_name = "_queue.SimpleQueue";
  facts.basic_size = 0x48;
  if (layout().minor < 13) {  // a list
    memory.write(queue + 0x20, t[0].value);
    EXPECT_EQ(edges(queue, facts, t), Shown{"0:<lst>"});
    return;
  }
  for (const auto& [offset, value] : {std::pair<std::uint64_t, std::uint64_t>{0x20, 3},
                                      {0x28, items.value},
                                      {0x30, 4},
                                      {0x38, 3}}) {
    memory.write(queue + offset, value);
  }
  memory.write(items + 24, t[0].value);
  memory.write(items, t[1].value);
  memory.write(items + 8, t[2].value);
  EXPECT_EQ(edges(queue, facts, t), (Shown{"0:[0]", "1:[1]", "2:[2]"}));
  memory.write(queue + 0x20, std::uint64_t{4});  // no place of four
  EXPECT_EQ(edges(queue, facts, t), Shown{});
}

}  // namespace
}  // namespace memspy::cpython

// The census of fake processes of every version: objects in pools, what they cost, every byte of
// the arenas once.
#include <map>
#include <random>

#include "cpython/heap/address_index.h"
#include "cpython/heap/heap_walker.h"
#include "cpython/heap/key_table.h"
#include "cpython/heap/pool_map.h"
#include "cpython/layouts.h"
#include "support/py_process.h"
#include "support/result_matchers.h"

namespace memspy::cpython {
namespace {

using testing::IsOk;
using testing::PyProcess;

TEST(AddressIndex, FindsEveryAddressAndNoOther) {
  std::mt19937_64 random(7);
  std::map<std::uint64_t, std::uint32_t> known;
  for (int i = 0; i < 5000; ++i) known[(random() % 400) << 12 | (random() % 256) << 4] = 0;
  std::vector<std::uint64_t> addresses;
  for (auto& [address, number] : known) {
    number = static_cast<std::uint32_t>(addresses.size());
    addresses.push_back(address);
  }
  AddressIndex index;
  EXPECT_EQ(index.find({0x1000}), kNoNode);
  index.build(addresses);
  for (const auto& [address, number] : known) EXPECT_EQ(index.find({address}).value, number);
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t address = random() % (std::uint64_t{500} << 12);
    if (known.count(address) == 0) {
      EXPECT_EQ(index.find({address}), kNoNode) << address;
    }
  }
}

class Nodes final : public ObjectVisitor {
 public:
  void on_name(NameIndex index, std::string_view text) override { names[index.value] = text; }
  void on_types(std::span<const HeapType> told) override { types.assign(told.begin(), told.end()); }
  void on_objects(std::span<const HeapNode> told) override {
    nodes.insert(nodes.end(), told.begin(), told.end());
  }
  void on_edges(NodeIndex from, std::span<const HeapEdge> told) override {
    edges[from.value].assign(told.begin(), told.end());
  }
  void on_roots(std::span<const HeapRoot>) override {}
  const HeapNode* at(RemoteAddr address) const {
    for (const HeapNode& node : nodes) {
      if (node.address == address) return &node;
    }
    return nullptr;
  }
  std::vector<HeapType> types;
  std::vector<HeapNode> nodes;
  std::map<std::uint32_t, std::vector<HeapEdge>> edges;
  std::map<std::uint32_t, std::string> names;
};

class EveryCensus : public ::testing::TestWithParam<int> {
 protected:
  EveryCensus() {
    process_.add_pymalloc();
    image().add_float(0);
    process_.complete_types();
    image().put(image().type("type"), Field::kTypeMro, image().add_tuple({}).value);
    process_.module().symbols["PyType_Type"] = image().type("type");
  }
  testing::PyImageBuilder& image() { return process_.image(); }
  const Layout& layout() const { return layout_; }
  // A float in the second block of the first pool, the first block being free.
  RemoteAddr put_float_into_pool(std::uint64_t count) {
    const RemoteAddr object =
        process_.arena() + layout().size(Struct::kPool) + testing::kPoolBlockSize;
    image().put(object, Field::kObjectRefcount, count);
    image().put(object, Field::kObjectType, image().type("float").value);
    return object;
  }
  Interpreter open() {
    auto found =
        Interpreter::open(process_.memory(), process_.map(), process_.symbols(), {}, nullptr);
    if (!found) throw std::runtime_error(describe(found.error()));
    return std::move(*found);
  }
  static std::uint64_t sum(const PymallocBytes& bytes) {
    return bytes.live_objects + bytes.owned_blocks + bytes.other_blocks + bytes.free_blocks +
           bytes.free_pools + bytes.headers;
  }

  Layout layout_ = *layout_for(GetParam());
  PyProcess process_{layout_};
};
INSTANTIATE_TEST_SUITE_P(Minor, EveryCensus, ::testing::Range(6, 16));

TEST_P(EveryCensus, AccountsForEveryByteOfTheArenas) {
  const Interpreter interpreter = open();
  const HeapInput input{interpreter, process_.memory(), process_.map(), process_.symbols(),
                        nullptr};
  HeapBytes bytes(process_.memory());
  const PoolMap pools = PoolMap::read(input, bytes);
  EXPECT_FALSE(pools.by_scan());
  const PymallocBytes account = pools.account();
  EXPECT_EQ(account.arenas, layout().strategies.arena_bytes);
  EXPECT_EQ(account.other_blocks, process_.used_bytes());
  EXPECT_EQ(sum(account), account.arenas);
}

TEST_P(EveryCensus, FindsThePoolsWithoutTheArrayOfArenas) {
  const Interpreter interpreter = open();
  process_.drop_arena_table();
  const HeapInput input{interpreter, process_.memory(), process_.map(), process_.symbols(),
                        nullptr};
  HeapBytes bytes(process_.memory());
  const PoolMap pools = PoolMap::read(input, bytes);
  EXPECT_TRUE(pools.by_scan());
  const PymallocBytes account = pools.account();
  EXPECT_EQ(account.other_blocks, process_.used_bytes());
  EXPECT_EQ(sum(account), account.arenas);
}

TEST_P(EveryCensus, FindsAnObjectInAPool) {
  const RemoteAddr object = put_float_into_pool(2);
  const Interpreter interpreter = open();
  HeapWalker walker({interpreter, process_.memory(), process_.map(), process_.symbols(), nullptr});
  Nodes heap;
  const auto stats = walker.walk(heap);
  ASSERT_THAT(stats, IsOk());
  EXPECT_EQ(stats->from_pools, 1u);
  const HeapNode* node = heap.at(object);
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(heap.types[node->type.value].name, "builtins.float");
  EXPECT_EQ(node->bytes, testing::kPoolBlockSize);
  EXPECT_NE(node->flags & kNodeInPool, 0);
  EXPECT_EQ(walker.getsizeof(object), layout().size(Struct::kFloat));
  EXPECT_EQ(stats->pymalloc.live_objects, testing::kPoolBlockSize);
  EXPECT_EQ(sum(stats->pymalloc), stats->pymalloc.arenas);
}

TEST_P(EveryCensus, LeavesOutADeadObject) {
  const RemoteAddr object = put_float_into_pool(0);
  const Interpreter interpreter = open();
  HeapWalker walker({interpreter, process_.memory(), process_.map(), process_.symbols(), nullptr});
  Nodes heap;
  const auto stats = walker.walk(heap);
  ASSERT_THAT(stats, IsOk());
  EXPECT_EQ(stats->from_pools, 0u);
  EXPECT_EQ(walker.find(object), kNoNode);
}

// A table of keys may hold the hash of a type, its address, behind bytes that read as a count; what
// is before them are the table's own counts and no collector's head.
TEST_P(EveryCensus, AnObjectOfTheCollectorsHasItsHead) {
  const RemoteAddr loop = image().add_type("Loop", kTypeHaveGc);
  process_.complete_types();
  image().put(loop, Field::kTypeMro, image().add_tuple({}).value);
  const RemoteAddr block =
      process_.arena() + layout().size(Struct::kPool) + testing::kPoolBlockSize;
  const RemoteAddr object = block + layout().size(Struct::kGcHead);
  const auto found = [&](std::uint64_t next, std::uint64_t prev, std::uint64_t count) {
    image().put(block, Field::kGcHeadNext, next);
    image().put(block, Field::kGcHeadPrev, prev);
    process_.memory().write(object + layout().offset(Field::kObjectRefcount), count);
    image().put(object, Field::kObjectType, loop.value);
    const Interpreter interpreter = open();
    HeapWalker walker(
        {interpreter, process_.memory(), process_.map(), process_.symbols(), nullptr});
    Nodes heap;
    EXPECT_THAT(walker.walk(heap), IsOk());
    return walker.find(object) != kNoNode;
  };
  EXPECT_TRUE(found(0, 0, 1)) << "in no list";
  EXPECT_TRUE(found(loop.value, loop.value, 1)) << "linked";
  EXPECT_TRUE(found(loop.value + 1, 4, 1)) << "in a collection";
  EXPECT_FALSE(found(0, 0, 0x00ffffff00000001)) << "no count";
  if (!layout().strategies.unlinked_heads_are_empty) return;
  EXPECT_TRUE(found(0, 1, 1)) << "was finalized";
  EXPECT_FALSE(found(3, 2, 1));
  EXPECT_FALSE(found(0, 5, 1));
}

// As of a dict that was stopped while it changed: its value stays reachable, by no name.
TEST_P(EveryCensus, AnItemWhoseKeyIsNoObjectKeepsItsValue) {
  const RemoteAddr known = image().add_str("known"), lost = image().add_str("lost");
  const RemoteAddr value = image().add_float(1), kept = image().add_float(2);
  testing::CodeSpec code;
  code.name = "main";
  code.locals = {"cache"};
  testing::FrameSpec frame;
  frame.code = image().add_code(code);
  frame.values = {image().add_dict({{known, value}, {lost, kept}})};
  image().push_frame(process_.main_thread(), frame);
  process_.complete_types();
  image().put(lost, Field::kObjectType, 0);
  const Interpreter interpreter = open();
  const MemoryMap map = process_.map_of_everything();
  HeapWalker walker({interpreter, process_.memory(), map, process_.symbols(), nullptr});
  Nodes heap;
  const auto stats = walker.walk(heap);
  ASSERT_THAT(stats, IsOk());
  EXPECT_GE(stats->dangling, 1u);
  ASSERT_NE(walker.find(kept), kNoNode);
  std::vector<std::string> told;
  for (const HeapEdge& edge : heap.edges[walker.find(frame.values[0]).value]) {
    if (edge.kind == EdgeKind::kKey) {
      EXPECT_EQ(edge.to, walker.find(value));
      EXPECT_EQ(edge.value, walker.find(known).value);
      told.push_back("key");
    }
    if (edge.to == walker.find(kept)) told.push_back(heap.names[edge.value]);
  }
  EXPECT_EQ(told, (std::vector<std::string>{"key", "unknown key"}));
}

TEST_P(EveryCensus, ReadsTheShapeOfATableOfKeys) {
  const RemoteAddr dict = image().add_dict({{image().add_int(1), image().add_int(2)}});
  HeapBytes bytes(process_.memory());
  const RemoteAddr keys = bytes.pointer(dict + layout().offset(Field::kDictKeys));
  const auto table = read_key_table(layout(), bytes, keys);
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ(table->slots, 8u);
  EXPECT_EQ(table->capacity, 5u);
  EXPECT_EQ(table->used, 1u);
  EXPECT_EQ(table->bytes, layout().offset(Field::kDictKeysIndices) + 8u + 24u * 5u);
  image().put(keys, Field::kDictKeysEntryCount, 9);  // more entries than slots
  EXPECT_FALSE(read_key_table(layout(), bytes, keys).has_value());
}

}  // namespace
}  // namespace memspy::cpython

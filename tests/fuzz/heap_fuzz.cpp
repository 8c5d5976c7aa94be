// Damages the heap of a process in any version and walks it: never a crash, a hang or more edges
// than there are words to hold them; and once the damage is undone, the walk finds what it found.
// Input: the version, then edits of four bytes each: where (u16), how, with what.
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "by_version.h"
#include "cpython/heap/edge_plans.h"
#include "cpython/heap/edge_reader.h"
#include "cpython/heap/heap_bytes.h"
#include "cpython/heap/heap_walker.h"
#include "cpython/layouts.h"
#include "edits.h"
#include "require.h"
#include "support/py_process.h"

namespace {

using memspy::RemoteAddr;
using memspy::testing::CodeSpec;
using memspy::testing::FrameSpec;
using memspy::testing::PyProcess;
namespace cpython = memspy::cpython;
using cpython::Field;

constexpr std::size_t kTextCap = 200;

// Counts, and checks that what it is told holds together.
class Checker final : public memspy::ObjectVisitor {
 public:
  void on_name(memspy::NameIndex, std::string_view text) override { name_bytes_ += text.size(); }
  void on_types(std::span<const memspy::HeapType> types) override { types_ = types.size(); }
  void on_objects(std::span<const memspy::HeapNode> nodes) override {
    for (const memspy::HeapNode& node : nodes) MEMSPY_REQUIRE(node.type.value < types_);
    nodes_.insert(nodes_.end(), nodes.begin(), nodes.end());
  }
  void on_edges(memspy::NodeIndex from, std::span<const memspy::HeapEdge> edges) override {
    MEMSPY_REQUIRE(from.value < nodes_.size());
    for (const memspy::HeapEdge& edge : edges) {
      const bool by_key =
          edge.kind == memspy::EdgeKind::kKey || edge.kind == memspy::EdgeKind::kKeyItself;
      MEMSPY_REQUIRE(edge.to.value < nodes_.size());
      MEMSPY_REQUIRE(!by_key || edge.value < nodes_.size());
    }
    edges_ += edges.size();
  }
  void on_roots(std::span<const memspy::HeapRoot> roots) override { roots_ += roots.size(); }

  const std::vector<memspy::HeapNode>& nodes() const { return nodes_; }
  std::uint64_t edges() const { return edges_; }
  std::uint64_t name_bytes() const { return name_bytes_; }
  auto summary() const { return std::tuple(types_, nodes_.size(), edges_, roots_); }

 private:
  std::vector<memspy::HeapNode> nodes_;
  std::uint64_t types_ = 0, edges_ = 0, roots_ = 0, name_bytes_ = 0;
};
using Summary = decltype(std::declval<Checker>().summary());

class Heap {
 public:
  explicit Heap(int minor) : layout_(cpython::layout_for(minor).value()), process_(layout_) {
    process_.add_pymalloc();
    begin_ = image().allocate(1);  // what comes before is mostly unused
    fill();
    end_ = image().allocate(1);
    interpreter_.emplace(cpython::Interpreter::open(process_.memory(), process_.map(),
                                                    process_.symbols(), {}, nullptr)
                             .value());
    for (const auto& [start, bytes] : process_.memory().segments()) {
      pristine_[start] = bytes;
      bytes_ += bytes.size();
    }
    map_ = process_.map_of_everything();
    before_ = walk();
    MEMSPY_REQUIRE(before_.has_value());
    MEMSPY_REQUIRE(std::get<1>(*before_) >= 20);  // objects
    MEMSPY_REQUIRE(std::get<2>(*before_) >= 15);  // edges
    edges_before_ = read_edges();
    MEMSPY_REQUIRE(edges_before_ >= 19);
  }

  void run(const std::uint8_t* data, std::size_t size) {
    for (std::size_t i = 0; i + 4 <= size; i += 4) edit(data + i);
    walk();
    read_edges();
    for (auto& [start, bytes] : process_.memory().segments()) bytes = pristine_.at(start);
    MEMSPY_REQUIRE(walk() == before_);
    MEMSPY_REQUIRE(read_edges() == edges_before_);
  }

 private:
  memspy::testing::PyImageBuilder& image() { return process_.image(); }
  void fill();
  RemoteAddr pooled(std::size_t block) const {
    return process_.arena() + layout_.size(cpython::Struct::kPool) +
           block * memspy::testing::kPoolBlockSize;
  }
  void edit(const std::uint8_t* what);
  std::optional<Summary> walk();
  std::size_t read_edges();
  void add(RemoteAddr object, cpython::TypeRule rule, cpython::Struct structure);

  cpython::Layout layout_;
  PyProcess process_;
  RemoteAddr begin_, end_;
  std::optional<cpython::Interpreter> interpreter_;
  memspy::MemoryMap map_;
  std::map<RemoteAddr, std::vector<std::byte>> pristine_;
  std::uint64_t bytes_ = 0;
  std::optional<Summary> before_;
  // What the edges' reader is asked about directly, whatever leads to it in a damaged heap.
  std::vector<std::pair<RemoteAddr, cpython::TypeFacts>> objects_;
  std::size_t edges_before_ = 0;
};

void Heap::add(RemoteAddr object, cpython::TypeRule rule, cpython::Struct structure) {
  cpython::TypeFacts facts;
  facts.index = {static_cast<std::uint32_t>(objects_.size())};
  facts.address = image().type("float");
  facts.name = facts.c_name = "test";
  facts.rule = rule;
  facts.basic_size = static_cast<std::int64_t>(layout_.size(structure));
  objects_.emplace_back(object, std::move(facts));
}

std::size_t Heap::read_edges() {
  cpython::HeapBytes bytes(process_.memory());
  cpython::TypeTable types(*interpreter_, bytes, process_.symbols(), nullptr);
  cpython::EdgePlans plans(*interpreter_, process_.memory(), types);
  cpython::EdgeReader reader(*interpreter_, process_.memory(), plans);
  reader.set_budget(bytes_ / 2);
  std::size_t edges = 0;
  std::vector<cpython::RawEdge> raw;
  for (const auto& [object, facts] : objects_) {
    raw.clear();
    reader.read(object, facts, raw);
    edges += raw.size();
  }
  MEMSPY_REQUIRE(edges <= 2 * bytes_);
  return edges;
}

// A function's frame whose locals are one of each container, and a float in a pool.
void Heap::fill() {
  using cpython::Struct;
  using cpython::TypeRule;
  const RemoteAddr thing = image().add_class("pkg", "Thing");
  const RemoteAddr list =
      image().add_list({image().add_int(-5), image().add_str(U"é😀"), image().none()});
  const RemoteAddr dict = image().add_dict(
      {{image().add_str("key"), list}, {image().add_int(2), image().add_float(0.5)}});
  const RemoteAddr set = image().add_set({image().add_int(1)});
  const RemoteAddr tuple = image().add_tuple(
      {image().add_bool(true), image().add_bytes("bytes"), image().add_module("os")});
  const RemoteAddr function = image().add_function("in.a.cell");
  const RemoteAddr cell = image().add_cell(function);
  CodeSpec spec;
  spec.name = "main";
  spec.locals = {"a", "b", "c", "d", "e"};
  spec.frees = {"f"};
  FrameSpec frame;
  frame.code = image().add_code(spec);
  frame.instruction = 3;
  frame.values = {
      dict, set, tuple, image().add_object(thing, 64), image().add_digits({1, 2, 3, 4}, true),
      cell};
  image().push_frame(process_.main_thread(), frame);
  add(list, TypeRule::kList, Struct::kList);
  add(dict, TypeRule::kDict, Struct::kDict);
  add(set, TypeRule::kSet, Struct::kSet);
  add(tuple, TypeRule::kTuple, Struct::kTuple);
  add(function, TypeRule::kFunction, Struct::kFunction);
  add(frame.code, TypeRule::kCode, Struct::kCode);
  add(cell, TypeRule::kCell, Struct::kCell);
  process_.complete_types();
  for (std::size_t block = 1; block < 4; ++block) {
    image().put(pooled(block), Field::kObjectRefcount, 2);
    image().put(pooled(block), Field::kObjectType, image().type("float").value);
  }
}

void Heap::edit(const std::uint8_t* what) {
  const std::size_t where = what[0] | static_cast<std::size_t>(what[1]) << 8;
  const bool in_pool = (what[2] & 0x80) != 0;
  const RemoteAddr start = in_pool ? process_.arena() : begin_;
  const std::uint64_t length = in_pool ? 4096 : end_.value - begin_.value;
  // Any place of the image, however long that is.
  const RemoteAddr byte = start + where * length / 65536 % (length - 8);
  const RemoteAddr word{byte.value & ~std::uint64_t{7}};
  switch (what[2] % 4) {
    case 0:
      return process_.memory().write(byte, what[3]);
    case 1:
      return process_.memory().write(word, memspy::fuzz::special_word(what[3]));
    case 2:  // a pointer to some other place of the image
      return process_.memory().write(
          word, begin_.value + std::uint64_t{what[3]} * (end_.value - begin_.value) / 256 / 8 * 8);
    default:
      return process_.memory().write(word, process_.arena().value + std::uint64_t{what[3]} * 16);
  }
}

std::optional<Summary> Heap::walk() {
  cpython::HeapWalker walker({*interpreter_, process_.memory(), map_, process_.symbols(), nullptr});
  Checker heap;
  const auto stats = walker.walk(heap);
  if (!stats.has_value()) return std::nullopt;
  // A word is read a few times at most, whatever the structures claim.
  MEMSPY_REQUIRE(heap.edges() <= bytes_);
  MEMSPY_REQUIRE(heap.nodes().size() <= bytes_ / 8);
  MEMSPY_REQUIRE(heap.name_bytes() <= 64 * bytes_);
  for (const memspy::HeapNode& node : heap.nodes()) {
    MEMSPY_REQUIRE(walker.text_of(node.address, node.type, kTextCap).size() <= 16 * kTextCap);
    (void)walker.getsizeof(node.address);
  }
  (void)walker.owned_buffers();
  walker.for_each_pool([](const cpython::HeapWalker::PoolView&) {});
  return heap.summary();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return memspy::fuzz::run_by_version<Heap>(data, size);
}

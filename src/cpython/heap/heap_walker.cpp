#include "cpython/heap/heap_walker.h"

#include <algorithm>

#include "base/column.h"
#include "cpython/heap/block_costs.h"
#include "cpython/heap/edge_plans.h"
#include "cpython/heap/edge_search.h"
#include "cpython/heap/edge_telling.h"
#include "cpython/heap/heap_census.h"
#include "cpython/heap/heap_roots.h"
#include "cpython/heap/object_names.h"
#include "cpython/heap/object_sizes.h"
#include "cpython/heap/object_text.h"
#include "cpython/heap/reference_counts.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kBatch = 8192;  // nodes told at a time
constexpr const char* kSharedKeysName = "dict keys (shared)";

}  // namespace

struct HeapWalker::Impl {
  explicit Impl(const HeapInput& given) : input(given), bytes(input.memory) {}

  EdgeSearchInput edge_input() { return {input, *census, *types, *plans, *roots}; }
  void tell_types(ObjectVisitor& visitor) const;
  void tell_objects(ObjectVisitor& visitor);
  void tell_edges(ObjectVisitor& visitor);
  void mark_own_dicts();
  HeapNode node_at(std::size_t node, BlockCosts& costs);
  void keep_buffer(std::size_t node, const OwnedMemory& memory, const BlockCosts& costs);
  void sort_buffers();
  void count_coverage();

  HeapInput input;
  HeapBytes bytes;
  WalkStats stats;
  std::unique_ptr<TypeTable> types;
  std::unique_ptr<HeapCensus> census;
  std::unique_ptr<ObjectSizes> sizes;
  std::unique_ptr<EdgePlans> plans;
  std::unique_ptr<HeapRoots> roots;
  std::unique_ptr<ReferenceCounts> counts;
  std::unique_ptr<EdgeSearch> search;
  std::vector<bool> is_own_dict;  // of a module, a type or an instance: its keys are names
  std::unique_ptr<ObjectNames> names;
  NameIndex keys_name, unknown_key_name;
  std::vector<OwnedMemory> owned;
  Column<OwnedBuffer> buffers;
};

void HeapWalker::Impl::tell_types(ObjectVisitor& visitor) const {
  std::vector<HeapType> told;
  told.reserve(types->all().size() + 1);
  for (const auto& type : types->all()) {
    told.push_back({type->address, type->name, type->heap_type()});
  }
  told.push_back({{}, kSharedKeysName, false});
  visitor.on_types(told);
}

HeapNode HeapWalker::Impl::node_at(std::size_t i, BlockCosts& costs) {
  HeapNode node;
  node.address = census->address(i);
  node.flags = census->flags(i);
  const TypeFacts* type = census->type(i);
  if (type == nullptr) {
    node.type = {static_cast<std::uint32_t>(types->all().size())};
    const auto table = read_key_table(input.interpreter.layout(), bytes, node.address);
    node.bytes = costs.of_owned(node.address, table ? table->bytes : 0);
    return node;
  }
  node.type = type->index;
  node.bytes = costs.of_object(node.address, sizes->head_bytes(node.address, *type),
                               sizes->inline_bytes(node.address, *type));
  owned.clear();
  sizes->owned(node.address, *type, owned);
  for (const OwnedMemory& one : owned) {
    node.bytes += costs.of_owned(one.address, one.bytes);
    keep_buffer(i, one, costs);
  }
  return node;
}

void HeapWalker::Impl::keep_buffer(std::size_t i, const OwnedMemory& memory,
                                   const BlockCosts& costs) {
  const AddressRange block = costs.block_of(memory.address, memory.bytes);
  if (block.size == 0 || census->find(memory.address) != kNoNode) return;
  buffers.push_back({block.start, block.size, {static_cast<std::uint32_t>(i)}});
}

void HeapWalker::Impl::sort_buffers() {
  OwnedBuffer* const begin = buffers.data();
  OwnedBuffer* const end = begin + buffers.size();
  std::sort(begin, end, [](const auto& a, const auto& b) { return a.address < b.address; });
  const auto* const last =
      std::unique(begin, end, [](const auto& a, const auto& b) { return a.address == b.address; });
  buffers.resize(static_cast<std::size_t>(last - begin));
  buffers.shrink();
}

void HeapWalker::Impl::tell_objects(ObjectVisitor& visitor) {
  BlockCosts costs(input, *census);
  std::vector<HeapNode> batch;
  batch.reserve(kBatch);
  for (std::size_t i = 0; i < census->size(); ++i) {
    batch.push_back(node_at(i, costs));
    if (batch.size() == kBatch || i + 1 == census->size()) {
      visitor.on_objects(batch);
      batch.clear();
    }
  }
  sort_buffers();
}

void HeapWalker::Impl::mark_own_dicts() {
  is_own_dict.assign(census->size(), false);
  for (const RemoteAddr dict : search->own_dicts) {
    if (const NodeIndex node = census->find(dict); node != kNoNode) is_own_dict[node.value] = true;
  }
  search->own_dicts = {};
}

void HeapWalker::Impl::tell_edges(ObjectVisitor& visitor) {
  counts = std::make_unique<ReferenceCounts>(census->size());
  const EdgeSearchInput walk = edge_input();
  EdgeTelling({walk, search->keys_of_types, is_own_dict, keys_name, unknown_key_name, *names,
               *counts, stats})
      .run(visitor);
}

void HeapWalker::Impl::count_coverage() {
  std::vector<std::uint64_t> per_type(types->all().size());
  for (std::size_t i = 0; i < census->size(); ++i) {
    if (const TypeFacts* type = census->type(i)) ++per_type[type->index.value];
  }
  for (const auto& type : types->all()) {
    if (per_type[type->index.value] == 0) continue;
    auto& row = stats.coverage[type->name];
    row.first += per_type[type->index.value];
    row.second = plans->plan_of(*type).how;
  }
}

HeapWalker::HeapWalker(const HeapInput& input) : impl_(std::make_unique<Impl>(input)) {}
HeapWalker::~HeapWalker() = default;

Result<WalkStats> HeapWalker::walk(ObjectVisitor& visitor) {
  Impl& w = *impl_;
  w.types = std::make_unique<TypeTable>(w.input.interpreter, w.bytes, w.input.symbols, &visitor);
  if (!w.types->type_type()) {
    return make_error(Errc::kUnsupported, "the type of types was not found in this build");
  }
  w.plans = std::make_unique<EdgePlans>(w.input.interpreter, w.input.memory, *w.types);
  w.sizes = std::make_unique<ObjectSizes>(w.input.interpreter.layout(), w.bytes, *w.types);
  w.census = std::make_unique<HeapCensus>(w.input, w.bytes, *w.types, w.stats);
  w.roots = std::make_unique<HeapRoots>(w.input, *w.types, *w.plans);
  w.keys_name = w.types->intern("keys");
  w.unknown_key_name = w.types->intern("unknown key");
  w.names = std::make_unique<ObjectNames>(w.input.interpreter.layout(), w.input.memory, *w.types);
  w.census->sweep_pools();
  w.census->walk_lists();
  w.search = std::make_unique<EdgeSearch>(w.edge_input());
  w.search->run();
  w.census->finish();
  w.mark_own_dicts();
  w.stats.from_edges = w.stats.objects - w.stats.from_pools - w.stats.from_lists;
  w.tell_types(visitor);
  w.tell_objects(visitor);
  w.tell_edges(visitor);
  visitor.on_labels(w.names->labels());
  const std::vector<HeapRoot> roots = w.roots->resolve(*w.census, w.bytes, *w.counts);
  visitor.on_roots(roots);
  w.counts.reset();
  w.names.reset();
  w.search.reset();
  w.is_own_dict = {};
  w.count_coverage();
  w.stats.pymalloc = w.census->pools().account();
  w.types->stop_telling();
  return w.stats;
}

NodeIndex HeapWalker::find(RemoteAddr address) const {
  return impl_->census ? impl_->census->find(address) : kNoNode;
}

std::uint64_t HeapWalker::getsizeof(RemoteAddr object) const {
  const NodeIndex node = find(object);
  const TypeFacts* type = node == kNoNode ? nullptr : impl_->census->type(node.value);
  return type == nullptr ? 0 : impl_->sizes->getsizeof(object, *type);
}

std::vector<AddressRange> HeapWalker::arenas() const {
  return impl_->census ? impl_->census->pools().arenas() : std::vector<AddressRange>();
}

void HeapWalker::for_each_pool(const std::function<void(const PoolView&)>& visit) const {
  if (!impl_->census) return;
  const PoolMap& map = impl_->census->pools();
  std::vector<std::uint64_t> used;
  for (const Pool& pool : map.pools()) {
    used.assign((pool.blocks + 63) / 64, 0);
    for (std::uint32_t block = 0; block < pool.blocks; ++block) {
      if (map.state(pool, block) != BlockState::kFree) used[block / 64] |= 1ULL << (block % 64);
    }
    visit({pool.address, map.pool_bytes(), map.header_bytes(), pool.block_bytes, used});
  }
}

std::string HeapWalker::text_of(RemoteAddr object, TypeIndex type, std::size_t cap) const {
  if (!impl_->types || type.value >= impl_->types->all().size()) return {};  // shared keys
  ObjectRepr reprs(impl_->input.interpreter.layout(), impl_->input.memory);
  return object_text(reprs, object, *impl_->types->all()[type.value], cap);
}

std::span<const HeapWalker::OwnedBuffer> HeapWalker::owned_buffers() const {
  return impl_->buffers.view();
}

void HeapWalker::forget_memory() {
  impl_->buffers = {};
  if (impl_->census) impl_->census->pools() = {};
}

void HeapWalker::forget_objects() {
  if (impl_->census) impl_->census->forget_objects();
}

}  // namespace memspy::cpython

#include "cpython/heap/edge_search.h"

#include <algorithm>
#include <array>
#include <memory>

#include "base/parallel.h"
#include "cpython/heap/object_sizes.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kRoom = std::size_t{1} << 22;

// Bodies whose reading interns names (of variables), or leads to what was not looked at yet.
bool any_thread_reads(EdgeBody body) {
  switch (body) {
    case EdgeBody::kFunction:
    case EdgeBody::kCode:
    case EdgeBody::kType:
    case EdgeBody::kFrame:
    case EdgeBody::kGenerator:
    case EdgeBody::kModule:
      return false;
    default:
      return true;
  }
}

}  // namespace

// What one thread comes across; nothing of it is shared until take().
class EdgeSearch::Worker {
 public:
  explicit Worker(const EdgeSearchInput& input)
      : in_(input),
        reader_(input.heap.interpreter, input.heap.memory, input.plans),
        bytes_(input.heap.memory),
        sizes_(input.heap.interpreter.layout(), bytes_, input.types) {
    reader_.set_sink([this](std::vector<RawEdge>&) { take_edges(); });
  }

  EdgeReader& reader() { return reader_; }

  void follow(std::size_t i) {
    const TypeFacts& type = *in_.census.type_of(i);
    const RemoteAddr object = in_.census.address_of(i);
    if (const RemoteAddr keys = sizes_.shared_keys(object, type)) {
      shared_keys.insert(keys);
      if (type.rule == TypeRule::kType) keys_of_types.insert(keys);
    }
    raw_.clear();
    if (reader_.read(object, type, raw_)) in_.census.mark_found(i, kNodeConservative);
    take_edges();
  }

  std::vector<RemoteAddr> reached;  // in the order in which they were, as long as they are few
  std::vector<RemoteAddr> own_dicts;
  std::unordered_set<RemoteAddr> shared_keys, keys_of_types;

 private:
  void take_edges() {
    for (const RawEdge& edge : raw_) {
      if (edge.kind == EdgeKind::kDict) own_dicts.push_back(edge.to);
      // The key of an item is an object as well, told of or not.
      if (edge.kind == EdgeKind::kKey) reach({edge.value});
      reach(edge.to);
    }
    raw_.clear();
  }
  // Most references that leave the pools lead to a few objects: types, None, small ints.
  void reach(RemoteAddr address) {
    RemoteAddr& recent = recent_[(address.value >> 4 ^ address.value >> 14) % recent_.size()];
    if (recent == address || in_.census.in_pool(address)) return;
    recent = address;
    reached.push_back(address);
    if (reached.size() >= room_) drop_repeated();
  }
  // A heap that contradicts itself may lead to the same place for every word that it has.
  void drop_repeated() {
    std::sort(reached.begin(), reached.end());
    reached.erase(std::unique(reached.begin(), reached.end()), reached.end());
    room_ = std::max(kRoom, 2 * reached.size());
  }

  const EdgeSearchInput& in_;
  EdgeReader reader_;
  HeapBytes bytes_;
  ObjectSizes sizes_;
  std::vector<RawEdge> raw_;
  std::array<RemoteAddr, 4096> recent_{};
  std::size_t room_ = kRoom;
};

void EdgeSearch::take(Worker& worker) {
  for (const RemoteAddr address : worker.reached) in_.census.reach(address);
  for (const RemoteAddr keys : worker.shared_keys) in_.census.add_shared_keys(keys);
  keys_of_types.insert(worker.keys_of_types.begin(), worker.keys_of_types.end());
  own_dicts.insert(own_dicts.end(), worker.own_dicts.begin(), worker.own_dicts.end());
  worker.reached.clear();
  worker.shared_keys.clear();
  worker.keys_of_types.clear();
  worker.own_dicts.clear();
}

std::vector<bool> EdgeSearch::types_in_pools() const {
  std::vector<bool> found(in_.types.all().size());
  for (std::size_t i = 0; i < in_.census.found_in_pools(); ++i)
    found[in_.census.type_of(i)->index.value] = true;
  return found;
}

// Making a plan gives names to attributes, and may find a type: not while several threads read.
void EdgeSearch::learn_plans() {
  const std::vector<bool> found = types_in_pools();
  shared_.assign(found.size(), false);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i]) shared_[i] = any_thread_reads(in_.plans.plan_of(*in_.types.all()[i]).body);
  }
}

void EdgeSearch::follow_pools() {
  learn_plans();
  const std::size_t count = in_.census.found_in_pools();
  const unsigned workers = workers_for(count);
  std::vector<std::unique_ptr<Worker>> all;
  for (unsigned i = 0; i < workers; ++i) {
    all.push_back(std::make_unique<Worker>(in_));
    in_.roots.prepare(all.back()->reader());
  }
  in_parallel(workers, [&](unsigned number) {
    const std::size_t end = share_begin(count, number + 1, workers);
    for (std::size_t i = share_begin(count, number, workers); i < end; ++i) {
      if (shared_[in_.census.type_of(i)->index.value]) all[number]->follow(i);
    }
  });
  for (const auto& worker : all) take(*worker);
}

void EdgeSearch::run() {
  const auto rest = std::make_unique<Worker>(in_);
  in_.roots.find(rest->reader(), in_.census);
  std::size_t types_reached = 0;
  const auto reach_types = [&] {
    for (; types_reached < in_.types.all().size(); ++types_reached)
      in_.census.reach(in_.types.all()[types_reached]->address);
  };
  reach_types();
  follow_pools();
  const std::size_t in_pools = in_.census.found_in_pools();
  for (std::size_t i = 0; i < in_pools; ++i) {
    if (!shared_[in_.census.type_of(i)->index.value]) rest->follow(i);
  }
  take(*rest);
  for (std::size_t done = in_pools;;) {
    reach_types();
    if (done == in_.census.found()) return;
    for (; done < in_.census.found(); ++done) {
      rest->follow(done);
      take(*rest);
    }
  }
}

}  // namespace memspy::cpython

#include "sinks/owner_stacks.h"

#include <algorithm>
#include <unordered_map>

namespace memspy::sinks {
namespace {

constexpr std::uint32_t kNone = kNoNode.value;
constexpr std::size_t kDeepestOwner = 64;  // frames; more would be folded into the last

// A trie of stacks. Place 0 is the root; the owners are its children.
class Places {
 public:
  std::uint32_t child(std::uint32_t parent, std::uint32_t frame) {
    const auto [it, fresh] = index_.try_emplace(std::uint64_t{parent} << 32 | frame,
                                                static_cast<std::uint32_t>(all_.size()));
    if (fresh) all_.push_back({parent, frame, all_[parent].depth + 1, 0, 0});
    return it->second;
  }

  // Below `place`, unless the frame is on the stack already: then where it is.
  std::uint32_t descend(std::uint32_t place, std::uint32_t frame) {
    for (std::uint32_t at = place; at != 0; at = all_[at].parent)
      if (all_[at].frame == frame) return at;
    return all_[place].depth >= kDeepestOwner ? place : child(place, frame);
  }

  void add(std::uint32_t place, std::uint64_t bytes) {
    all_[place].bytes += bytes;
    ++all_[place].objects;
  }

  void append_stacks(OwnerStacks& out) const {
    for (std::uint32_t place = 1; place < all_.size(); ++place) {
      if (all_[place].bytes == 0) continue;
      OwnerStack stack;
      stack.bytes = all_[place].bytes;
      stack.objects = all_[place].objects;
      for (std::uint32_t at = place; at != 0; at = all_[at].parent)
        stack.frames.push_back(all_[at].frame);
      std::reverse(stack.frames.begin(), stack.frames.end());
      out.bytes += stack.bytes;
      out.objects += stack.objects;
      out.stacks.push_back(std::move(stack));
    }
  }

 private:
  struct Place {
    std::uint32_t parent = 0, frame = kNone;
    std::size_t depth = 0;
    std::uint64_t bytes = 0, objects = 0;
  };
  std::vector<Place> all_{1};
  std::unordered_map<std::uint64_t, std::uint32_t> index_;
};

// Frames of the same text are one: several types of one name, an owner called like a type.
class Frames {
 public:
  explicit Frames(std::vector<std::string>& texts) : texts_(texts) {}
  std::uint32_t intern(const std::string& text) {
    const auto [it, fresh] = index_.try_emplace(text, static_cast<std::uint32_t>(texts_.size()));
    if (fresh) texts_.push_back(text);
    return it->second;
  }

 private:
  std::vector<std::string>& texts_;
  std::unordered_map<std::string, std::uint32_t> index_;
};

}  // namespace

OwnerStacks owner_stacks(const snapshot::Look& look) {
  const auto& graph = look.snapshot->graph;
  const auto& idom = look.dominators->idom;
  const auto& owner_of = look.owners->owner_of;
  OwnerStacks out;
  Frames frames(out.frames);
  std::vector<std::uint32_t> owner_frames, type_frames;
  for (const auto& owner : look.owners->owners) owner_frames.push_back(frames.intern(owner.owner));
  for (const HeapType& type : graph.types()) type_frames.push_back(frames.intern(type.name));

  Places places;
  std::vector<std::uint32_t> place_of(graph.node_count(), 0);
  std::vector<std::uint32_t> climbed;
  for (std::uint32_t i = 0; i < graph.node_count(); ++i) {
    climbed.clear();
    for (std::uint32_t at = i; at != kNone && place_of[at] == 0; at = idom[at])
      climbed.push_back(at);
    for (auto it = climbed.rbegin(); it != climbed.rend(); ++it) {
      const std::uint32_t above = idom[*it];
      const bool same_owner = above != kNone && owner_of[above] == owner_of[*it];
      const std::uint32_t from =
          same_owner ? place_of[above] : places.child(0, owner_frames[owner_of[*it]]);
      place_of[*it] = places.descend(from, type_frames[graph.type(NodeIndex{*it}).value]);
    }
    places.add(place_of[i], graph.bytes(NodeIndex{i}));
  }
  places.append_stacks(out);
  return out;
}

}  // namespace memspy::sinks

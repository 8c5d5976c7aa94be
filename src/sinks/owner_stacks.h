// The heap as stacks, for flame graphs: who holds it, by which types, down to the type itself. The
// width of a frame is what goes with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "snapshot/diff.h"

namespace memspy::sinks {

struct OwnerStack {
  std::vector<std::uint32_t> frames;  // into OwnerStacks::frames, the owner first
  std::uint64_t bytes = 0, objects = 0;
};

struct OwnerStacks {
  std::vector<std::string> frames;
  std::vector<OwnerStack> stacks;  // without those of 0 bytes
  std::uint64_t bytes = 0, objects = 0;
};

// Every object once: its owner, then the types on the way down the dominator tree. A type that is
// on the stack already is not put on it again: a linked list is no taller than a tree is.
OwnerStacks owner_stacks(const snapshot::Look& look);

}  // namespace memspy::sinks

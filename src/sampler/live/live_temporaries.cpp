#include "sampler/live/live_temporaries.h"

namespace memspy::sampler {

bool BlockObjects::begins(cpython::BlockContent::Write write) {
  using Write = cpython::BlockContent::Write;
  const Life before = life_;
  switch (write) {
    case Write::kType:
      life_ = Life::kBegun;
      return before != Life::kCleared;
    case Write::kZero:
      life_ = before == Life::kTracked ? Life::kUntracked : Life::kCleared;
      return before != Life::kTracked && before != Life::kCleared;
    case Write::kLink:
      life_ = Life::kTracked;
      return before == Life::kUnknown || before == Life::kUntracked;
    case Write::kOther:
      if (before == Life::kUnknown) life_ = Life::kBegun;
      return before == Life::kUnknown;
  }
  return false;
}

void BlockObjects::note(const std::optional<LiveOwner>& owner) {
  ++counts_[owner];
  last_ = owner;
}

void BlockObjects::forget_last() {
  const auto it = counts_.find(last_);
  if (it != counts_.end() && --it->second == 0) counts_.erase(it);
}

void LiveTemporaries::add(const BlockObjects& objects) {
  for (const auto& [owner, count] : objects.counts()) {
    const bool room = counts_.size() < kMaxOwners || counts_.contains(owner);
    counts_[room ? owner : std::nullopt] += count;
  }
}

}  // namespace memspy::sampler

#include "sampler/fault_shares.h"

namespace memspy::sampler {
namespace {

constexpr unsigned kRegionBits = 21;  // 2 MiB: what one fault may bring as a huge page

}  // namespace

void FaultShares::add(StackId stack, RemoteAddr address, bool late) {
  const std::uint64_t region = address.value >> kRegionBits;
  const std::uint64_t key = (region << 32 | stack.value) * 2 + (late ? 1 : 0);
  const auto [it, fresh] = index_.try_emplace(key, shares_.size());
  if (fresh) shares_.push_back({stack, {}, 0, 0, late});
  Share& share = shares_[it->second];
  share.address = address;
  ++share.records;
  ++records_;
}

// Rounded so that what is lost at one share is found at the next.
const std::vector<FaultShares::Share>& FaultShares::distribute(std::uint64_t faults) {
  std::uint64_t seen = 0, given = 0;
  for (Share& share : shares_) {
    seen += share.records;
    const std::uint64_t upto = faults * seen / records_;
    share.faults = upto - given;
    given = upto;
  }
  return shares_;
}

void FaultShares::clear() {
  shares_.clear();
  index_.clear();
  records_ = 0;
}

}  // namespace memspy::sampler

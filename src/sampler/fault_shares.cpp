#include "sampler/fault_shares.h"

namespace memspy::sampler {

// Rounded so that what is lost at one share is found at the next.
const std::vector<FaultShares::Share>& FaultShares::distribute(std::uint64_t faults) {
  std::uint64_t seen = 0, given = 0;
  for (Share& share : shares_) {
    const std::uint64_t upto = faults * ++seen / shares_.size();
    share.faults = upto - given;
    given = upto;
  }
  return shares_;
}

}  // namespace memspy::sampler

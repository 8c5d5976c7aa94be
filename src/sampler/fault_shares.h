// Shares the faults between two samples out to the fault records taken meanwhile: every record stands
// for as many faults as any other, and its page is their witness. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "memspy/address.h"
#include "memspy/frame.h"

namespace memspy::sampler {

class FaultShares {
 public:
  struct Share {
    StackId stack;
    RemoteAddr address;         // 0: not known
    bool late = false;
    std::uint64_t faults = 0;   // after distribute()
  };

  void add(StackId stack, RemoteAddr address, bool late = false) { shares_.push_back({stack, address, late, 0}); }
  bool empty() const { return shares_.empty(); }
  // Gives each share its part of `faults`; the sum is exact.
  const std::vector<Share>& distribute(std::uint64_t faults);
  void clear() { shares_.clear(); }

 private:
  std::vector<Share> shares_;
};

}  // namespace memspy::sampler

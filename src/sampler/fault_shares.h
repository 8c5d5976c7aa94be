// Shares the faults between two samples out to the stacks of the fault records taken meanwhile: a
// part for each stack and 2 MiB of memory, each with a page as its witness. Pure.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "memspy/address.h"
#include "memspy/frame.h"

namespace memspy::sampler {

class FaultShares {
 public:
  struct Share {
    StackId stack;
    RemoteAddr address;         // the newest of its pages; 0: not known
    std::uint64_t records = 0;
    std::uint64_t faults = 0;   // after distribute()
    bool late = false;
  };

  void add(StackId stack, RemoteAddr address, bool late = false);
  bool empty() const { return shares_.empty(); }
  // Gives each share its part of `faults`; the sum is exact.
  const std::vector<Share>& distribute(std::uint64_t faults);
  void clear();

 private:
  std::vector<Share> shares_;
  std::unordered_map<std::uint64_t, std::size_t> index_;
  std::uint64_t records_ = 0;
};

}  // namespace memspy::sampler

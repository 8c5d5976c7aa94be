// Where functions begin and end, from the search table of an image's exception frames
// (.eh_frame_hdr): it is there in stripped programs too. A part of a function that the compiler has
// split is a function of its own here.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "symbolize/cfi_table.h"

namespace memspy::symbolize {

class FunctionBounds {
 public:
  explicit FunctionBounds(const CfiTable& image);

  struct Range {
    std::uint64_t begin = 0, end = 0;  // link addresses
  };
  // `end` is where the next one begins. nullopt: before the first, or behind the last.
  std::optional<Range> find(std::uint64_t address) const;
  std::size_t size() const { return begins_.size(); }

 private:
  std::vector<std::uint64_t> begins_;
};

}  // namespace memspy::symbolize

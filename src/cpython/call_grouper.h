// Which Python frames one call from C runs: where a native stack shows an evaluation loop once,
// several Python frames may stand (3.11+). Private to cpython.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "cpython/frame_walker.h"
#include "cpython/stack_reader.h"

namespace memspy::cpython {

// What is emitted of a chain, by calls from C. Up to 3.11 frames say whether C called them (up to
// 3.10 it always did); later the interpreter's own frames stand between the calls.
class CallGrouper {
 public:
  CallGrouper(const FrameChainCopy& chain, std::vector<EntryCall>& out) : chain_(chain), out_(out) {
    out_.clear();
  }
  // In the order of the chain; `shown`: it is one of those that are emitted.
  void add(std::size_t index, bool shown) {
    close_before(index);
    if (shown) ++open_;
    if (chain_.boundaries.empty() && chain_.frames[index].entry) close({});
  }
  void finish() {
    close_before(chain_.frames.size() + 1);
    if (open_ > 0) close({});
  }

 private:
  void close_before(std::size_t index) {
    for (; next_ < chain_.boundaries.size() && chain_.boundaries[next_].second <= index; ++next_)
      close(chain_.boundaries[next_].first);
  }
  void close(RemoteAddr boundary) { out_.push_back({std::exchange(open_, 0), boundary}); }

  const FrameChainCopy& chain_;
  std::vector<EntryCall>& out_;
  std::size_t next_ = 0;
  std::uint32_t open_ = 0;
};

}  // namespace memspy::cpython

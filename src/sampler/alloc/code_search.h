// A search for the code that allocates, beside the tracer: whoever stands still would wait for its
// end. It has a thread, and no more priority than others. Used by one thread; what it looks at must
// outlive it.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>

#include "memspy/result.h"
#include "memspy/sample.h"
#include "sampler/alloc/allocator_code.h"

namespace memspy::sampler {

class CodeSearch {
 public:
  using Found = Result<std::unique_ptr<AllocatorCode>>;
  // `look` runs at once. What it throws is an error of what it finds, and so is it that there is no
  // room for one more thread.
  CodeSearch(ProcessIndex process, std::function<Found()> look);

  ProcessIndex process() const { return process_; }
  bool done_within(std::chrono::nanoseconds time) const;
  // Once; waits until it is done, as the end of this object does.
  Found take() { return found_.get(); }

 private:
  ProcessIndex process_;
  std::future<Found> found_;
};

}  // namespace memspy::sampler

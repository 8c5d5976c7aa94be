#include "sampler/merged_stack.h"

#include <algorithm>
#include <optional>

namespace memspy::sampler {
namespace {

using cpython::EntryCall;
using unwind::NativeFrame;

// For each evaluation loop, innermost first, the index of the call that it runs.
using Pairing = std::vector<std::optional<std::size_t>>;

// From 3.12 on the interpreter's own frame lies in the loop's part of the stack.
Pairing pair_by_boundary(const std::vector<const NativeFrame*>& loops,
                         const std::vector<EntryCall>& calls) {
  Pairing pairing(loops.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const auto inside = [&](const EntryCall& call) {
      return call.boundary.value >= loops[i]->stack && call.boundary.value < loops[i]->cfa;
    };
    const auto found =
        std::find_if(calls.begin() + static_cast<std::ptrdiff_t>(next), calls.end(), inside);
    if (found == calls.end()) continue;  // it has not put its frame there yet, or no more
    pairing[i] = static_cast<std::size_t>(found - calls.begin());
    next = *pairing[i] + 1;
  }
  return pairing;
}

// By their number. A loop that was caught as it begins has no frame yet: seen from the outermost
// end the others still fit, if that end was reached.
Pairing pair_by_order(std::size_t loops, std::size_t calls, bool from_outermost) {
  Pairing pairing(loops);
  for (std::size_t i = 0; i < std::min(loops, calls); ++i) {
    if (from_outermost) {
      pairing[loops - 1 - i] = calls - 1 - i;
    } else {
      pairing[i] = i;
    }
  }
  return pairing;
}

class Merger {
 public:
  explicit Merger(const cpython::RawStack& python) : python_(python) {}

  void add_native(std::size_t index) {
    merged_.push_back({false, static_cast<std::uint32_t>(index)});
  }
  // The frames of the calls up to and with this one.
  void add_calls(std::size_t last) {
    for (; next_call_ <= last && next_call_ < python_.calls.size(); ++next_call_) {
      const std::size_t end = std::min<std::size_t>(next_frame_ + python_.calls[next_call_].frames,
                                                    python_.frames.size());
      for (; next_frame_ < end; ++next_frame_)
        merged_.push_back({true, static_cast<std::uint32_t>(next_frame_)});
    }
  }
  std::vector<MergedFrame> finish() && {
    for (; next_frame_ < python_.frames.size(); ++next_frame_)
      merged_.push_back({true, static_cast<std::uint32_t>(next_frame_)});
    return std::move(merged_);
  }

 private:
  const cpython::RawStack& python_;
  std::vector<MergedFrame> merged_;
  std::size_t next_call_ = 0, next_frame_ = 0;
};

}  // namespace

std::vector<MergedFrame> merge_stacks(const unwind::NativeStack& native,
                                      const cpython::RawStack& python) {
  std::vector<const NativeFrame*> loops;
  for (const NativeFrame& frame : native.frames)
    if (is_loop(frame)) loops.push_back(&frame);
  const bool bounded = std::any_of(python.calls.begin(), python.calls.end(),
                                   [](const EntryCall& call) { return bool(call.boundary); });
  const Pairing pairing = bounded
                              ? pair_by_boundary(loops, python.calls)
                              : pair_by_order(loops.size(), python.calls.size(), native.complete());
  Merger merger(python);
  std::size_t loop = 0;
  for (std::size_t i = 0; i < native.frames.size(); ++i) {
    if (!is_loop(native.frames[i])) {
      merger.add_native(i);
    } else if (const auto call = pairing[loop++]) {
      merger.add_calls(*call);
    }
  }
  return std::move(merger).finish();
}

}  // namespace memspy::sampler

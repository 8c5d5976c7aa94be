#include "unwind/unwinder.h"

#include <algorithm>

#include "unwind/cfi_step.h"

namespace memspy::unwind {
namespace {

using symbolize::kDwarfRbp;
using symbolize::kDwarfRip;
using symbolize::kDwarfRsp;

// A return address that no table tells of is looked for so far above: functions without tables are
// small.
constexpr std::uint64_t kScanBytes = 1024;
// One piece of a stack. More is a wild pointer.
constexpr std::uint64_t kMaxFrameBytes = 16 << 20;
constexpr std::uint64_t kWord = sizeof(std::uint64_t);

// The kernel hands a signal's frame over on another stack, if the program has asked for one.
bool goes_up(std::uint64_t stack, std::uint64_t cfa, bool signal) {
  return signal || (cfa > stack && cfa - stack <= kMaxFrameBytes);
}

}  // namespace

std::optional<Unwinder::Step> Unwinder::by_frame_pointer(const StackCopy& copy,
                                                         const Registers& registers) {
  const auto frame = registers.find(kDwarfRbp), stack = registers.find(kDwarfRsp);
  if (!frame || !stack || *frame < *stack || *frame - *stack > kMaxFrameBytes) return std::nullopt;
  const auto outer = copy.word(*frame), back = copy.word(*frame + kWord);
  if (!outer || !back || !code_.follows_call(*back)) return std::nullopt;
  Step step{registers, *frame + 2 * kWord, FoundBy::kFramePointer, true};
  step.registers.set(kDwarfRbp, outer);
  step.registers.set(kDwarfRsp, step.cfa);
  step.registers.set(kDwarfRip, back);
  return step;
}

// Registers that calls preserve may or may not have changed in between: what is known of them
// stays, as functions that are in assembly and small change none.
std::optional<Unwinder::Step> Unwinder::guess(const StackCopy& copy, const Registers& registers,
                                              UnwindEnd& end) {
  const auto stack = registers.find(kDwarfRsp);
  if (!stack) return std::nullopt;
  std::optional<Step> found;
  std::uint64_t at = *stack;
  for (; at - *stack < kScanBytes && !found; at += kWord) {
    const auto word = copy.word(at);
    if (!word) break;
    if (!code_.follows_call(*word)) continue;
    found = Step{registers, at + kWord, FoundBy::kScan, true};
    found->registers.set(kDwarfRsp, found->cfa);
    found->registers.set(kDwarfRip, word);
  }
  if (const auto framed = by_frame_pointer(copy, registers);
      framed && (!found || framed->cfa <= found->cfa))
    found = framed;
  if (!found) end = copy.holds(at) ? UnwindEnd::kNoCaller : UnwindEnd::kCopyEnds;
  return found;
}

std::optional<Unwinder::Step> Unwinder::step(const StackCopy& copy, const Registers& registers,
                                             const CodePlace& place, UnwindEnd& end) {
  const auto* rows = place.module != nullptr ? place.module->rows.get() : nullptr;
  const symbolize::CfiRow* row =
      rows != nullptr ? place.module->rows->find(place.address) : nullptr;
  if (row == nullptr) return guess(copy, registers, end);
  const auto caller = follow_row(*row, copy, registers);
  if (!caller) return guess(copy, registers, end);
  const auto stack = registers.find(kDwarfRsp);
  if (stack && !goes_up(*stack, caller->cfa, row->signal_frame)) {
    end = UnwindEnd::kBroken;
    return std::nullopt;
  }
  const bool lost = std::any_of(row->registers.begin(), row->registers.end(), [&](const auto& r) {
    return r.index == row->return_register && r.how == symbolize::CfiHow::kUndefined;
  });
  if (lost) {  // how the outermost function of a thread is marked
    end = UnwindEnd::kOutermost;
    return std::nullopt;
  }
  if (!caller->registers.find(kDwarfRip)) {
    end = UnwindEnd::kCopyEnds;
    return std::nullopt;
  }
  return Step{caller->registers, caller->cfa, FoundBy::kRows, !row->signal_frame};
}

bool is_loop(const NativeFrame& frame) {
  return frame.place.module != nullptr && frame.place.module->in_loop(frame.place.address);
}

void Unwinder::unwind(const StackCopy& copy, NativeStack& out, UnwindTo to) {
  out.frames.clear();
  out.end = UnwindEnd::kTooDeep;
  Registers registers = copy.registers;
  bool after_call = false;
  FoundBy found_by = FoundBy::kRegisters;
  while (out.frames.size() < kMaxNativeDepth) {
    const auto pc = registers.find(kDwarfRip);
    if (!pc || *pc == 0) {
      out.end = out.frames.empty() ? UnwindEnd::kBroken : UnwindEnd::kOutermost;
      break;
    }
    NativeFrame frame;
    frame.code = after_call ? *pc - 1 : *pc;
    frame.place = code_.find(frame.code);
    frame.stack = registers.find(kDwarfRsp).value_or(0);
    frame.found_by = found_by;
    if (!frame.place.code && !out.frames.empty()) {
      out.end = UnwindEnd::kBroken;
      break;
    }
    out.frames.push_back(frame);
    if (to == UnwindTo::kLoop && is_loop(frame)) {
      out.end = UnwindEnd::kLoop;
      break;
    }
    UnwindEnd end = UnwindEnd::kNoCaller;
    const auto next = step(copy, registers, frame.place, end);
    if (!next) {
      out.end = end;
      break;
    }
    out.frames.back().cfa = next->cfa;
    registers = next->registers;
    after_call = next->after_call;
    found_by = next->found_by;
  }
  count(out);
}

void Unwinder::count(const NativeStack& stack) {
  ++counts_.stacks;
  counts_.frames += stack.frames.size();
  counts_.guessed += static_cast<std::uint64_t>(
      std::count_if(stack.frames.begin(), stack.frames.end(), [](const NativeFrame& frame) {
        return frame.found_by == FoundBy::kFramePointer || frame.found_by == FoundBy::kScan;
      }));
  if (stack.end == UnwindEnd::kCopyEnds || stack.end == UnwindEnd::kTooDeep) ++counts_.cut;
  if (stack.end == UnwindEnd::kNoCaller) ++counts_.lost;
  if (stack.end == UnwindEnd::kBroken) ++counts_.broken;
}

}  // namespace memspy::unwind

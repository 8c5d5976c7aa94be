#include "sampler/native_stacks.h"

#include <algorithm>
#include <sstream>

namespace memspy::sampler {
namespace {

using symbolize::kDwarfRbp;
using symbolize::kDwarfRbx;
using symbolize::kDwarfRip;
using symbolize::kDwarfRsp;

// A thread's control block lies at the end of its stack; that of a main thread elsewhere.
constexpr std::uint64_t kMostOfStack = 64 << 20;

}  // namespace

// One read, from the stack pointer up: all of it has been touched. What lies beyond the thread's
// own stack has not, and is not read.
void NativeStacks::read_stack(std::uint64_t stack, std::uint64_t bytes) {
  std::uint64_t size = bytes;
  if (thread_pointer_ > stack && thread_pointer_ - stack < kMostOfStack)
    size = std::min(size, thread_pointer_ - stack);
  copy_.begin = stack;
  copy_.bytes.resize(size);
  copy_.bytes.resize(memory_.read_some({stack}, copy_.bytes));
}

bool NativeStacks::take_top(const attach::Seizure& seizure, Tid tid, std::size_t bytes) {
  const auto values = seizure.registers(tid);
  copy_.bytes.clear();
  if (!values) return false;
  for (std::size_t i = 0; i < values->size(); ++i) copy_.registers.set(i, (*values)[i]);
  thread_pointer_ = seizure.fs_base(tid).value_or(0);
  read_stack((*values)[kDwarfRsp], std::min(bytes, wanted_));
  return true;
}

// "NR ARG0 … ARG5 SP PC", in hexadecimal but for the number; "-1 SP PC" outside of any call.
bool NativeStacks::take_blocked(Tid tid) {
  copy_.bytes.clear();
  copy_.registers = {};
  const auto text = proc_.syscall(pid_, tid);
  if (!text.has_value() || text->starts_with("running")) return false;
  std::istringstream words(*text);
  std::int64_t number = 0;
  words >> number >> std::hex;
  std::vector<std::uint64_t> values;
  for (std::string word; words >> word;) values.push_back(std::stoull(word, nullptr, 16));
  if (values.size() < 2) return false;
  copy_.registers.set(kDwarfRsp, values[values.size() - 2]);
  copy_.registers.set(kDwarfRip, values.back());
  thread_pointer_ = 0;
  read_stack(values[values.size() - 2], wanted_);
  return true;
}

void NativeStacks::take(const attach::FaultRecord& record) {
  constexpr std::array<std::size_t, attach::kFaultRegisters> kSaved = {kDwarfRbx, kDwarfRbp, 12,
                                                                       13,        14,        15};
  copy_.registers = {};
  copy_.registers.set(kDwarfRsp, record.stack);
  copy_.registers.set(kDwarfRip, record.code);
  const std::size_t count = record.words.size();
  for (std::size_t i = 0; i < std::min(count, kSaved.size()); ++i)
    copy_.registers.set(kSaved[i], record.words[i]);
  copy_.begin = record.stack;
  copy_.bytes.resize(count > kSaved.size() ? (count - kSaved.size()) * sizeof(std::uint64_t) : 0);
  for (std::size_t i = kSaved.size(); i < count; ++i) {
    const std::uint64_t word = record.words[i];
    std::memcpy(copy_.bytes.data() + (i - kSaved.size()) * sizeof(word), &word, sizeof(word));
  }
}

void NativeStacks::unwind() { unwinder_.unwind(copy_, stack_); }

std::uint64_t NativeStacks::instruction() const {
  return copy_.registers.find(kDwarfRip).value_or(0);
}

std::vector<MergedFrame> NativeStacks::merge(const cpython::RawStack& python) {
  unwinder_.unwind(copy_, stack_);
  // The next stop takes more; a thread that goes deep does so again.
  if (stack_.end == unwind::UnwindEnd::kCopyEnds && copy_.bytes.size() == wanted_)
    wanted_ = std::min(2 * wanted_, unwind::kMaxStackCopy);
  return merge_stacks(stack_, python);
}

Frame NativeStacks::frame_of(const unwind::NativeFrame& native) {
  Frame frame;
  frame.kind = FrameKind::kNative;
  if (native.place.module != nullptr) {
    frame.code = {native.place.module->path, native.place.module->build_id, native.place.address};
  } else {
    frame.function = native.place.code ? "[jit]" : "[unknown code]";
  }
  return frame;
}

std::string note_of(const unwind::NativeStack& stack) {
  using unwind::UnwindEnd;
  switch (stack.end) {
    case UnwindEnd::kOutermost:
      return "";
    case UnwindEnd::kCopyEnds:
      return "the outer native frames are beyond the part of the stack that was read";
    case UnwindEnd::kNoCaller:
      return "the outer native frames are missing: no unwind table leads to them";
    case UnwindEnd::kBroken:
      return "the outer native frames are missing: the stack makes no sense there";
    case UnwindEnd::kTooDeep:
      return "the outer native frames are left out: there are too many";
  }
  return "";
}

}  // namespace memspy::sampler

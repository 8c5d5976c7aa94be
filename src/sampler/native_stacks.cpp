#include "sampler/native_stacks.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>
#include <utility>

namespace memspy::sampler {
namespace {

using symbolize::kDwarfRbp;
using symbolize::kDwarfRbx;
using symbolize::kDwarfRip;
using symbolize::kDwarfRsp;

// The registers of a fault record: those that calls preserve.
constexpr std::array<std::size_t, attach::kFaultRegisters> kKept = {kDwarfRbx, kDwarfRbp, 12,
                                                                    13,        14,        15};

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

attach::FaultRecord NativeStacks::as_record() const {
  const auto value = [this](std::size_t index) { return copy_.registers.find(index).value_or(0); };
  attach::FaultRecord record;
  record.stack = value(kDwarfRsp);
  record.code = value(kDwarfRip);
  std::vector<std::uint64_t> words;
  for (const std::size_t index : kKept) words.push_back(value(index));
  const std::size_t count =
      std::min(copy_.bytes.size(), attach::kMostStackBytes) / sizeof(std::uint64_t);
  words.resize(kKept.size() + count);
  std::memcpy(words.data() + kKept.size(), copy_.bytes.data(), count * sizeof(std::uint64_t));
  record.words = attach::FaultWords(std::move(words));
  return record;
}

const unwind::NativeStack& NativeStacks::unwind(const attach::FaultRecord& record,
                                                unwind::UnwindTo to) {
  unwind::StackCopy& copy = record_copy_;
  copy.registers = {};
  copy.registers.set(kDwarfRsp, record.stack);
  copy.registers.set(kDwarfRip, record.code);
  const std::size_t count = record.words.size(), kept = std::min(count, kKept.size());
  for (std::size_t i = 0; i < kept; ++i) copy.registers.set(kKept[i], record.words[i]);
  copy.begin = record.stack;
  copy.bytes.resize((count - kept) * sizeof(std::uint64_t));
  for (std::size_t i = kept; i < count; ++i) {
    const std::uint64_t word = record.words[i];
    std::memcpy(copy.bytes.data() + (i - kept) * sizeof(word), &word, sizeof(word));
  }
  unwinder_.unwind(copy, record_stack_, to);
  return record_stack_;
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
    case UnwindEnd::kLoop:
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

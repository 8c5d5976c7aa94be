// The test's own stack: copied in the depth of some functions, then unwound by the files that it is
// made of, and compared with what glibc's unwinder says.
#include "unwind/unwinder.h"

#include <execinfo.h>
#include <gtest/gtest.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <random>

#include "attach/process_vm.h"

// A function with two exits, as compilers describe them: behind the first one's epilogue what held
// before it holds again.
asm(R"(
  .text
  .type memspy_two_exits, @function
memspy_two_exits:
  .cfi_startproc
  push %rbx
  .cfi_def_cfa_offset 16
  .cfi_offset 3, -16
  test %rdi, %rdi
  je .Lsecond_exit
  .cfi_remember_state
  pop %rbx
  .cfi_def_cfa_offset 8
  .globl memspy_first_exit
memspy_first_exit:
  ret
  .cfi_restore_state
  .globl memspy_second_exit
memspy_second_exit:
.Lsecond_exit:
  pop %rbx
  .cfi_def_cfa_offset 8
  ret
  .cfi_endproc
  .size memspy_two_exits, . - memspy_two_exits
)");
extern "C" const char memspy_first_exit[], memspy_second_exit[];

namespace memspy::unwind {
namespace {

const procfs::ProcDir kProc;

struct Seen {
  StackCopy copy;
  std::vector<void*> addresses;  // as backtrace(3) has them, from the place of the copy on
};
Seen* seen = nullptr;

StackCopy copy_from(const ucontext_t& context) {
  constexpr int kOrder[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                            REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                            REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  StackCopy copy;
  for (std::size_t i = 0; i < std::size(kOrder); ++i)
    copy.registers.set(i, static_cast<std::uint64_t>(context.uc_mcontext.gregs[kOrder[i]]));
  copy.begin = *copy.registers.find(symbolize::kDwarfRsp);
  copy.bytes.resize(kFirstStackCopy);
  const attach::ProcessVm memory(Pid{::getpid()});
  copy.bytes.resize(memory.read_some({copy.begin}, copy.bytes));
  return copy;
}

[[gnu::noinline]] void look() {
  ucontext_t context{};
  ASSERT_EQ(::getcontext(&context), 0);
  seen->copy = copy_from(context);
  seen->addresses.resize(128);
  seen->addresses.resize(static_cast<std::size_t>(
      ::backtrace(seen->addresses.data(), static_cast<int>(seen->addresses.size()))));
}

[[gnu::noinline]] int compare(const void* a, const void* b) {
  if (seen->addresses.empty()) look();
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

// Through a function of the C library, which has frames of its own.
[[gnu::noinline]] int deep(int depth) {
  if (depth > 0) return deep(depth - 1) + 1;
  int numbers[] = {3, 1, 2};
  std::qsort(numbers, std::size(numbers), sizeof(int), compare);
  return numbers[0];
}

NativeStack unwound(const StackCopy& copy, UnwindCounts* counts = nullptr) {
  const attach::ProcessVm memory(Pid{::getpid()});
  ModuleStore store;
  CodeMap code(kProc, Pid{::getpid()}, memory, store);
  Unwinder unwinder(code);
  NativeStack stack;
  unwinder.unwind(copy, stack);
  if (counts != nullptr) *counts = unwinder.counts();
  for (NativeFrame& frame : stack.frames) frame.place.module = nullptr;  // goes with the store
  return stack;
}

TEST(Unwinder, FindsWhatGlibcFinds) {
  Seen here;
  seen = &here;
  EXPECT_EQ(deep(20), 21);
  ASSERT_GT(here.addresses.size(), 25U);
  UnwindCounts counts;
  const NativeStack stack = unwound(here.copy, &counts);
  EXPECT_EQ(stack.end, UnwindEnd::kOutermost);
  // From the outer end: backtrace() stands in look() at another instruction, and a sanitizer's has
  // a frame of its own.
  const std::size_t more = here.addresses.size() - stack.frames.size();
  ASSERT_LE(more, 1U);
  for (std::size_t i = 1; i < stack.frames.size(); ++i)
    EXPECT_EQ(stack.frames[i].code + 1, reinterpret_cast<std::uint64_t>(here.addresses[i + more]));
  EXPECT_EQ(counts.guessed, 0U);
}

TEST(Unwinder, AnEpilogueInTheMiddleOfAFunctionHasRowsOfItsOwn) {
  const attach::ProcessVm memory(Pid{::getpid()});
  ModuleStore store;
  CodeMap code(kProc, Pid{::getpid()}, memory, store);
  const auto offset = [&](const char* at) -> std::int64_t {
    const CodePlace place = code.find(reinterpret_cast<std::uint64_t>(at));
    if (place.module == nullptr || !place.module->rows) return -1;
    const auto* row = place.module->rows->find(place.address);
    return row == nullptr ? -1 : row->cfa_offset;
  };
  EXPECT_EQ(offset(memspy_second_exit), 16);
  EXPECT_EQ(offset(memspy_first_exit), 8);
  EXPECT_EQ(offset(memspy_second_exit), 16);
}

TEST(Unwinder, AShortCopyIsSaidToBeOne) {
  Seen here;
  seen = &here;
  EXPECT_EQ(deep(20), 21);
  const NativeStack whole = unwound(here.copy);
  const std::size_t half = whole.frames.size() / 2;
  here.copy.bytes.resize(whole.frames[half].stack - here.copy.begin);
  const NativeStack stack = unwound(here.copy);
  EXPECT_EQ(stack.end, UnwindEnd::kCopyEnds);
  EXPECT_EQ(stack.frames.size(), half + 1);
}

void on_signal(int) {
  if (seen->addresses.empty()) look();
}

TEST(Unwinder, GoesThroughASignal) {
  Seen here;
  seen = &here;
  const auto before = std::signal(SIGUSR2, on_signal);
  ::raise(SIGUSR2);
  std::signal(SIGUSR2, before);
  const NativeStack stack = unwound(here.copy);
  EXPECT_EQ(stack.end, UnwindEnd::kOutermost);
  EXPECT_LE(here.addresses.size() - stack.frames.size(), 1U);
}

// Whatever stands on a stack, the walk ends, and every frame lies above the one before.
TEST(Unwinder, EndsOnAnyStack) {
  Seen here;
  seen = &here;
  EXPECT_EQ(deep(20), 21);
  std::minstd_rand random(1);
  for (int round = 0; round < 300; ++round) {
    StackCopy copy = here.copy;
    for (int edit = 0; edit < 40; ++edit) {
      const std::size_t at = random() % (copy.bytes.size() / 8) * 8;
      const std::uint64_t word = random() % 2 == 0 ? random() : copy.begin + random() % 65536;
      std::memcpy(copy.bytes.data() + at % 4096, &word, sizeof(word));
    }
    const NativeStack stack = unwound(copy);
    EXPECT_LE(stack.frames.size(), kMaxNativeDepth);
    for (std::size_t i = 1; i < stack.frames.size(); ++i)
      EXPECT_GT(stack.frames[i].stack, stack.frames[i - 1].stack);
  }
}

TEST(Unwinder, WithoutACopyThereIsOneFrame) {
  StackCopy copy;
  copy.registers.set(symbolize::kDwarfRip, reinterpret_cast<std::uint64_t>(&look));
  const NativeStack stack = unwound(copy);
  ASSERT_EQ(stack.frames.size(), 1U);
  EXPECT_FALSE(stack.complete());
}

}  // namespace
}  // namespace memspy::unwind

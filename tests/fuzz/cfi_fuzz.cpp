// One input as a program's file: its call frame information is asked for at many addresses, and
// rows are followed over a stack that is made of the same bytes.
#include <cstdint>
#include <span>
#include <vector>

#include "require.h"
#include "symbolize/cfi_table.h"
#include "symbolize/elf_file.h"
#include "symbolize/function_bounds.h"
#include "unwind/cfi_step.h"
#include "unwind/eval_loop.h"

using namespace memspy;
using namespace memspy::symbolize;

namespace {

constexpr std::uint64_t kStack = 0x7ffc00000000;

unwind::StackCopy stack_of(std::span<const std::byte> bytes, std::uint64_t code) {
  unwind::StackCopy copy;
  copy.begin = kStack;
  copy.bytes.assign(bytes.begin(), bytes.end());
  for (std::size_t i = 0; i < kDwarfRegisters; ++i)
    copy.registers.set(i, kStack + i * sizeof(std::uint64_t));
  copy.registers.set(kDwarfRip, code);
  return copy;
}

void question(CfiTable& table, const ElfSegment& segment, const unwind::StackCopy& copy) {
  constexpr std::uint64_t kQuestions = 40;
  const std::uint64_t step = segment.memory_size / kQuestions + 1;
  for (std::uint64_t i = 0; i < kQuestions; ++i) {
    const std::uint64_t address = segment.address + i * step;
    const CfiRow* row = table.find(address);
    if (row == nullptr) continue;
    MEMSPY_REQUIRE(address >= row->begin && address < row->end);
    MEMSPY_REQUIRE(table.find(address) == row);
    static_cast<void>(unwind::follow_row(*row, copy, copy.registers));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::vector<std::byte> copy(bytes.begin(), bytes.end());
  auto table = CfiTable::from_bytes(copy, "fuzz");
  const auto file = ElfFile::from_bytes(copy, "fuzz");
  if (!table.has_value() || !file.has_value()) return 0;
  static_cast<void>(FunctionBounds(**table).find(0x1000));
  static_cast<void>(unwind::find_evaluation_loop(**file, **table));
  for (const ElfSegment& segment : (*file)->segments())
    if (segment.executable) question(**table, segment, stack_of(bytes, segment.address));
  return 0;
}

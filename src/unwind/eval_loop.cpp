#include "unwind/eval_loop.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "symbolize/function_bounds.h"

namespace memspy::unwind {
namespace {

constexpr std::string_view kLoop = "_PyEval_EvalFrameDefault";
constexpr std::uint64_t kMaxLoopBytes = 4 << 20;  // 50 to 200 KiB are usual; debug builds more
constexpr std::size_t kFewestJumps = 2;

std::vector<std::byte> code_of(const symbolize::CfiTable& rows, LinkRange range) {
  std::vector<std::byte> code(std::min(range.end - range.begin, kMaxLoopBytes));
  code.resize(rows.read(range.begin, code));
  return code;
}

// Targets of the jumps with 32-bit displacements in `code`: conditional ones, or `jmp`.
// Instructions are not decoded: bytes that only look like a jump lead nowhere in particular.
template <typename Take>
void for_each_jump(const std::vector<std::byte>& code, std::uint64_t begin, bool conditional,
                   const Take& take) {
  const std::size_t opcode = conditional ? 2 : 1;
  for (std::size_t at = 0; at + opcode + 4 <= code.size(); ++at) {
    const auto first = std::to_integer<std::uint8_t>(code[at]);
    const auto second = std::to_integer<std::uint8_t>(code[at + 1]);
    if (conditional ? first != 0x0f || (second & 0xf0) != 0x80 : first != 0xe9) continue;
    std::int32_t displacement = 0;
    std::memcpy(&displacement, code.data() + at + opcode, sizeof(displacement));
    take(begin + at + opcode + 4 + static_cast<std::uint64_t>(std::int64_t{displacement}));
  }
}

void add_cold_parts(const symbolize::CfiTable& rows, LinkRange loop, std::vector<LinkRange>& out) {
  const symbolize::FunctionBounds bounds(rows);
  std::map<std::uint64_t, std::pair<LinkRange, std::size_t>> candidates;
  for_each_jump(code_of(rows, loop), loop.begin, true, [&](std::uint64_t target) {
    if (loop.contains(target)) return;
    const auto function = bounds.find(target);
    if (!function) return;
    auto& [range, jumps] = candidates[function->begin];
    range = {function->begin, function->end};
    ++jumps;
  });
  for (const auto& [begin, candidate] : candidates) {
    const auto& [range, jumps] = candidate;
    if (jumps < kFewestJumps) continue;
    std::size_t back = 0;
    for_each_jump(code_of(rows, range), range.begin, false,
                  [&](std::uint64_t target) { back += loop.contains(target) ? 1 : 0; });
    if (back >= kFewestJumps) out.push_back(range);
  }
}

}  // namespace

std::vector<LinkRange> find_evaluation_loop(const symbolize::ElfFile& image,
                                            symbolize::CfiTable& rows) {
  std::vector<LinkRange> ranges;
  const auto loop = image.find_symbol(kLoop);
  if (!loop) return ranges;
  for (const symbolize::ElfSymbol& symbol : image.find_parts(kLoop)) {
    if (symbol.size > 0 && symbol.size <= kMaxLoopBytes)
      ranges.push_back({symbol.address, symbol.address + symbol.size});
  }
  if (ranges.empty()) {
    const auto function = symbolize::FunctionBounds(rows).find(loop->address);
    if (!function) return ranges;
    ranges.push_back({function->begin, function->end});
  }
  // With .symtab the parts have names.
  if (!image.has_symtab()) add_cold_parts(rows, ranges.front(), ranges);
  return ranges;
}

}  // namespace memspy::unwind

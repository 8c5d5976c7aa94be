#include "sampler/alloc/code_parts.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <map>

namespace memspy::sampler {
namespace {

constexpr std::uint64_t kMostCode = 64 << 10;  // of one function: an allocator's are small
constexpr std::size_t kMostParts = 32;
constexpr std::size_t kStubBytes = 16;

bool contains(const FunctionRange& range, std::uint64_t address) {
  return address >= range.begin && address < range.end;
}

std::vector<std::byte> code_of(const symbolize::CfiTable& rows, const FunctionRange& range) {
  std::vector<std::byte> code(std::min(range.end - range.begin, kMostCode));
  code.resize(rows.read(range.begin, code));
  return code;
}

// A stub of the linker, which jumps through a pointer to another file: `jmp *d32(%rip)`.
bool is_stub(const symbolize::CfiTable& rows, std::uint64_t address) {
  std::array<std::byte, kStubBytes> code{};
  const std::size_t size = rows.read(address, code);
  for (std::size_t i = 0; i + 1 < size; ++i)
    if (code[i] == std::byte{0xff} && code[i + 1] == std::byte{0x25}) return true;
  return false;
}

enum class Branch { kJump, kConditional, kCall };

// Branches with 32-bit displacements. Bytes that only look like one lead nowhere in particular.
template <typename Take>
void for_each_branch(const std::vector<std::byte>& code, std::uint64_t begin, const Take& take) {
  for (std::size_t at = 0; at + 5 <= code.size(); ++at) {
    const auto first = std::to_integer<std::uint8_t>(code[at]);
    const bool conditional = first == 0x0f && at + 6 <= code.size() &&
                             (std::to_integer<std::uint8_t>(code[at + 1]) & 0xf0U) == 0x80;
    if (!conditional && first != 0xe9 && first != 0xe8) continue;
    const std::size_t opcode = conditional ? 2 : 1;
    std::int32_t displacement = 0;
    std::memcpy(&displacement, code.data() + at + opcode, sizeof(displacement));
    const std::uint64_t target =
        begin + at + opcode + 4 + static_cast<std::uint64_t>(std::int64_t{displacement});
    take(conditional     ? Branch::kConditional
         : first == 0xe9 ? Branch::kJump
                         : Branch::kCall,
         target);
  }
}

// A cold part comes back to its function.
bool comes_back(const symbolize::CfiTable& rows, const FunctionRange& part,
                const FunctionRange& function) {
  bool back = false;
  for_each_branch(code_of(rows, part), part.begin, [&](Branch branch, std::uint64_t target) {
    back = back || (branch != Branch::kCall && contains(function, target));
  });
  return back;
}

}  // namespace

std::vector<FunctionRange> parts_of(const symbolize::CfiTable& rows,
                                    const symbolize::FunctionBounds& bounds,
                                    const FunctionRange& function, Reach reach) {
  std::map<std::uint64_t, FunctionRange> parts;
  for_each_branch(
      code_of(rows, function), function.begin, [&](Branch branch, std::uint64_t target) {
        if (contains(function, target) || parts.size() >= kMostParts) return;
        const auto part = bounds.find(target);
        if (!part || parts.contains(part->begin)) return;
        const bool whole = target == part->begin && branch != Branch::kConditional;
        const bool wanted = whole ? branch == Branch::kJump || reach == Reach::kJumpsAndCalls
                                  : branch != Branch::kCall && comes_back(rows, *part, function);
        if (wanted && !is_stub(rows, target)) parts.emplace(part->begin, *part);
      });
  std::vector<FunctionRange> out;
  for (const auto& [begin, part] : parts) out.push_back(part);
  return out;
}

}  // namespace memspy::sampler

#include "cpython/allocators/domain_table.h"

#include <array>
#include <cstring>
#include <vector>

namespace memspy::cpython {
namespace {

constexpr std::size_t kMostCandidates = 256;
constexpr std::uint64_t kFarthestField = 1 << 20;  // of _PyRuntime

std::uint8_t byte_at(std::span<const std::byte> code, std::size_t at) {
  return std::to_integer<std::uint8_t>(code[at]);
}

std::uint64_t displacement_at(std::span<const std::byte> code, std::size_t at) {
  std::int32_t value = 0;
  std::memcpy(&value, code.data() + at, sizeof(value));
  return static_cast<std::uint64_t>(std::int64_t{value});
}

// A memory operand of an instruction that loads from it, takes its address, or jumps through it.
// Instructions are not decoded one after the other: what only looks like one leads to no table.
struct Operands {
  std::vector<std::uint64_t> loaded;  // addresses: a slot, or a pointer to what holds the table
  std::vector<std::uint64_t> taken;   // addresses that `lea` or `mov` makes
  std::vector<std::uint64_t> fields;  // displacements from a register
};

bool may_read(std::uint8_t opcode) { return opcode == 0x8b || opcode == 0xff; }

void note_operand(std::span<const std::byte> code, std::uint64_t address, std::size_t at,
                  Operands& out) {
  const std::uint8_t opcode = byte_at(code, at), modrm = byte_at(code, at + 1);
  if (!may_read(opcode) && opcode != 0x8d) return;
  const unsigned mode = modrm >> 6U, base = modrm & 7U;
  if (mode == 0 && base == 5) {  // relative to the next instruction
    const std::uint64_t target = address + at + 6 + displacement_at(code, at + 2);
    (opcode == 0x8d ? out.taken : out.loaded).push_back(target);
  } else if (mode == 2 && base != 4 && may_read(opcode)) {
    out.fields.push_back(displacement_at(code, at + 2));
  } else if (mode == 1 && base != 4 && may_read(opcode)) {
    out.fields.push_back(
        static_cast<std::uint64_t>(std::int64_t{static_cast<std::int8_t>(byte_at(code, at + 2))}));
  }
}

Operands operands_of(std::span<const std::byte> code, std::uint64_t address) {
  Operands out;
  for (std::size_t at = 0; at + 6 <= code.size(); ++at) {
    note_operand(code, address, at, out);
    // mov $imm32, %r32: an address of a program that does not move.
    if ((byte_at(code, at) & 0xf8U) == 0xb8)
      out.taken.push_back(displacement_at(code, at + 1) & 0xffffffffU);
  }
  return out;
}

std::optional<DomainTable> table_at(const MemoryReader& memory, std::uint64_t slot,
                                    const IsFunction& is_function) {
  if (slot % sizeof(std::uint64_t) != 0) return std::nullopt;
  std::array<std::uint64_t, 4> words{};
  if (memory.read_some({slot}, std::as_writable_bytes(std::span(words))) != sizeof(words))
    return std::nullopt;
  for (const std::uint64_t word : words)
    if (word == 0 || !is_function({word})) return std::nullopt;
  return DomainTable{{slot}, {words[0]}, {words[1]}, {words[2]}, {words[3]}};
}

}  // namespace

std::optional<DomainTable> find_domain_table(const MemoryReader& memory,
                                             std::span<const std::byte> code, RemoteAddr address,
                                             const IsFunction& is_function) {
  const Operands operands = operands_of(code, address.value);
  // In the order of the code: its first load is of its own table, what it falls back to comes
  // later.
  for (const std::uint64_t slot : operands.loaded)
    if (auto table = table_at(memory, slot, is_function)) return table;
  std::vector<std::uint64_t> bases = operands.taken;
  for (const std::uint64_t at : operands.loaded) {
    std::uint64_t pointer = 0;
    if (memory.read_some({at}, std::as_writable_bytes(std::span(&pointer, 1))) == sizeof(pointer))
      bases.push_back(pointer);
  }
  std::size_t tried = 0;
  for (const std::uint64_t base : bases) {
    for (const std::uint64_t field : operands.fields) {
      if (field > kFarthestField || ++tried > kMostCandidates) continue;
      if (auto table = table_at(memory, base + field, is_function)) return table;
    }
    if (auto table = table_at(memory, base, is_function)) return table;
  }
  return std::nullopt;
}

std::optional<DomainTable> read_domain_table(const MemoryReader& memory, RemoteAddr slot) {
  std::array<std::uint64_t, 4> words{};
  if (memory.read_some(slot, std::as_writable_bytes(std::span(words))) != sizeof(words))
    return std::nullopt;
  return DomainTable{slot, {words[0]}, {words[1]}, {words[2]}, {words[3]}};
}

}  // namespace memspy::cpython

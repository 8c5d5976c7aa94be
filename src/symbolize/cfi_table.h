// Call frame information of one ELF image: how to get from a function to its caller, for every
// instruction. Read through libdw, kept row by row in a form that is cheap to follow. The image may
// be hostile: a row that makes no sense is no row. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"
#include "memspy/result.h"

namespace memspy::symbolize {

// x86-64 registers as DWARF numbers them: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, and
// the return address in the place of rip.
inline constexpr std::size_t kDwarfRegisters = 17;
inline constexpr std::uint8_t kDwarfRbx = 3, kDwarfRdi = 5, kDwarfRbp = 6, kDwarfRsp = 7,
                              kDwarfR12 = 12, kDwarfRip = 16;

struct CfiOperation {
  std::uint8_t atom = 0;  // DW_OP_…
  std::uint64_t number = 0, number2 = 0;
};
using CfiExpression = std::vector<CfiOperation>;

// Where the caller's value of a register is. CFA: the caller's stack pointer at the call.
enum class CfiHow : std::uint8_t {
  kUndefined,        // lost
  kAtCfa,            // in memory at CFA + number
  kCfaPlus,          // CFA + number itself
  kRegister,         // in the callee's register `number`
  kAtExpression,     // in memory where expression `number` says
  kExpressionValue,  // what expression `number` says
};

struct CfiRegister {
  std::uint8_t index = 0;
  CfiHow how = CfiHow::kUndefined;
  std::int64_t number = 0;
};

// Holds for the instructions at link addresses [begin, end). Registers that are not named keep
// their values.
struct CfiRow {
  std::uint64_t begin = 0, end = 0;
  std::uint8_t cfa_register = kDwarfRsp;
  bool cfa_by_expression = false;  // the first of `expressions`
  std::int64_t cfa_offset = 0;
  std::uint8_t return_register = kDwarfRip;
  bool signal_frame = false;  // its caller was interrupted, and did not call
  std::vector<CfiRegister> registers;
  std::vector<CfiExpression> expressions;
};

class CfiTable {
 public:
  // kUnsupported: not an ELF file. An image without call frame information is a table without rows.
  static Result<std::unique_ptr<CfiTable>> open(UniqueFd fd, const std::string& name);
  static Result<std::unique_ptr<CfiTable>> from_bytes(std::vector<std::byte> bytes,
                                                      const std::string& name);
  ~CfiTable();

  // The row of the instruction at a link address; nullptr: there is none. Valid until the next
  // call.
  const CfiRow* find(std::uint64_t address);
  // Where the search table of the exception frames is; 0: there is none.
  std::uint64_t exception_header() const;
  // The bytes of the image that are mapped at a link address, as far as they are in the file.
  std::size_t read(std::uint64_t address, std::span<std::byte> out) const;

 private:
  struct Source;
  explicit CfiTable(std::unique_ptr<Source> source);
  const CfiRow* load(std::uint64_t address);

  std::unique_ptr<Source> source_;
  std::map<std::uint64_t, CfiRow> rows_;  // by their begin
  std::unordered_map<std::uint64_t, const CfiRow*> known_;
};

}  // namespace memspy::symbolize

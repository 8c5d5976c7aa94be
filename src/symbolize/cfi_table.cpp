#include "symbolize/cfi_table.h"

#include <dwarf.h>
#include <gelf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "symbolize/handles.h"

namespace memspy::symbolize {
namespace {

// Some ten thousand rows are what a large program ever stands in.
constexpr std::size_t kMaxRows = 1U << 16, kMaxKnown = 1U << 17;
constexpr std::size_t kMaxOperations = 64;  // of one expression; the longest known has 12
constexpr std::size_t kMaxLoads = 256;

struct FrameDeleter {
  void operator()(Dwarf_Frame* frame) const { std::free(frame); }  // NOLINT: libdw's malloc
};
struct CfiDeleter {
  void operator()(Dwarf_CFI* cfi) const { ::dwarf_cfi_end(cfi); }
};

CfiExpression copy_expression(const Dwarf_Op* ops, std::size_t count) {
  CfiExpression copied;
  for (std::size_t i = 0; i < count; ++i)
    copied.push_back({ops[i].atom, ops[i].number, ops[i].number2});
  return copied;
}

// The usual forms of rules in libdw's language become numbers; others stay expressions.
bool set_cfa(CfiRow& row, const Dwarf_Op* ops, std::size_t count) {
  if (count == 0 || count > kMaxOperations) return false;
  if (count == 1 && ops[0].atom == DW_OP_bregx && ops[0].number < kDwarfRegisters) {
    row.cfa_register = static_cast<std::uint8_t>(ops[0].number);
    row.cfa_offset = static_cast<std::int64_t>(ops[0].number2);
    return true;
  }
  row.cfa_by_expression = true;
  row.expressions.insert(row.expressions.begin(), copy_expression(ops, count));
  return true;
}

CfiRegister rule_of(CfiRow& row, std::uint8_t index, const Dwarf_Op* ops, std::size_t count) {
  const bool value = ops[count - 1].atom == DW_OP_stack_value;
  const std::size_t length = value ? count - 1 : count;
  const bool from_cfa = length >= 1 && ops[0].atom == DW_OP_call_frame_cfa;
  if (from_cfa && length == 1) return {index, value ? CfiHow::kCfaPlus : CfiHow::kAtCfa, 0};
  if (from_cfa && length == 2 && ops[1].atom == DW_OP_plus_uconst) {
    return {index, value ? CfiHow::kCfaPlus : CfiHow::kAtCfa,
            static_cast<std::int64_t>(ops[1].number)};
  }
  if (count == 1 && ops[0].atom == DW_OP_regx)
    return {index, CfiHow::kRegister, static_cast<std::int64_t>(ops[0].number)};
  row.expressions.push_back(copy_expression(ops, length));
  return {index, value ? CfiHow::kExpressionValue : CfiHow::kAtExpression,
          static_cast<std::int64_t>(row.expressions.size() - 1)};
}

// False: the frame's rules make no sense.
bool fill_row(CfiRow& row, Dwarf_Frame* frame) {
  Dwarf_Addr begin = 0, end = 0;
  bool signal = false;
  const int return_register = ::dwarf_frame_info(frame, &begin, &end, &signal);
  if (return_register < 0 || static_cast<std::size_t>(return_register) >= kDwarfRegisters)
    return false;
  row.begin = begin;
  row.end = end;
  row.signal_frame = signal;
  row.return_register = static_cast<std::uint8_t>(return_register);
  Dwarf_Op* ops = nullptr;
  std::size_t count = 0;
  if (::dwarf_frame_cfa(frame, &ops, &count) != 0 || !set_cfa(row, ops, count)) return false;
  for (std::uint8_t index = 0; index < kDwarfRegisters; ++index) {
    Dwarf_Op memory[3];
    if (::dwarf_frame_register(frame, index, memory, &ops, &count) != 0) return false;
    if (count == 0 && ops == memory) row.registers.push_back({index, CfiHow::kUndefined, 0});
    if (count == 0) continue;
    if (count > kMaxOperations) return false;
    row.registers.push_back(rule_of(row, index, ops, count));
  }
  return true;
}

}  // namespace

struct CfiTable::Source {
  UniqueFd fd;
  std::vector<std::byte> bytes;
  ElfHandle elf;
  DwarfHandle dwarf;  // of .debug_frame, where that is all there is
  std::unique_ptr<Dwarf_CFI, CfiDeleter> exception_frames;
  Dwarf_CFI* debug_frames = nullptr;  // dwarf's own
  bool looked_for_debug_frames = false;
  std::vector<GElf_Phdr> loads;
  std::uint64_t exception_header = 0;

  void load_segments() {
    std::size_t count = 0;
    if (::elf_getphdrnum(elf.get(), &count) != 0) return;
    for (std::size_t i = 0; i < std::min(count, kMaxLoads); ++i) {
      GElf_Phdr header;
      if (::gelf_getphdr(elf.get(), static_cast<int>(i), &header) == nullptr) continue;
      if (header.p_type == PT_LOAD) loads.push_back(header);
      if (header.p_type == PT_GNU_EH_FRAME) exception_header = header.p_vaddr;
    }
  }

  // libdw reads what it is asked for beyond what is loaded as well: of code it knows only that.
  bool is_code(std::uint64_t address) const {
    return std::any_of(loads.begin(), loads.end(), [&](const GElf_Phdr& load) {
      return (load.p_flags & PF_X) != 0 && address >= load.p_vaddr &&
             address - load.p_vaddr < load.p_memsz;
    });
  }

  Dwarf_CFI* find_debug_frames() {
    if (!looked_for_debug_frames) {
      looked_for_debug_frames = true;
      dwarf.reset(::dwarf_begin_elf(elf.get(), DWARF_C_READ, nullptr));
      if (dwarf) debug_frames = ::dwarf_getcfi(dwarf.get());
    }
    return debug_frames;
  }

  std::unique_ptr<Dwarf_Frame, FrameDeleter> find_frame(std::uint64_t address) {
    Dwarf_Frame* frame = nullptr;
    if (exception_frames && ::dwarf_cfi_addrframe(exception_frames.get(), address, &frame) == 0)
      return std::unique_ptr<Dwarf_Frame, FrameDeleter>(frame);
    frame = nullptr;
    Dwarf_CFI* other = find_debug_frames();
    if (other != nullptr && ::dwarf_cfi_addrframe(other, address, &frame) == 0)
      return std::unique_ptr<Dwarf_Frame, FrameDeleter>(frame);
    return nullptr;
  }

  Result<Unit> load(const std::string& name) {
    if (!elf || ::elf_kind(elf.get()) != ELF_K_ELF || ::gelf_getclass(elf.get()) != ELFCLASS64)
      return make_error(Errc::kUnsupported, name + ": not a 64-bit ELF file");
    GElf_Ehdr header;
    if (::gelf_getehdr(elf.get(), &header) == nullptr || header.e_machine != EM_X86_64)
      return make_error(Errc::kUnsupported, name + ": not a program for x86-64");
    load_segments();
    exception_frames.reset(::dwarf_getcfi_elf(elf.get()));
    return Unit{};
  }
};

CfiTable::CfiTable(std::unique_ptr<Source> source) : source_(std::move(source)) {}
CfiTable::~CfiTable() = default;

Result<std::unique_ptr<CfiTable>> CfiTable::open(UniqueFd fd, const std::string& name) {
  ::elf_version(EV_CURRENT);
  auto source = std::make_unique<Source>();
  source->fd = std::move(fd);
  // Not mapped: a file that shrinks under a mapping would end memspy with SIGBUS.
  source->elf.reset(::elf_begin(source->fd.get(), ELF_C_READ, nullptr));
  MEMSPY_CHECK(source->load(name));
  return std::unique_ptr<CfiTable>(new CfiTable(std::move(source)));
}

Result<std::unique_ptr<CfiTable>> CfiTable::from_bytes(std::vector<std::byte> bytes,
                                                       const std::string& name) {
  ::elf_version(EV_CURRENT);
  auto source = std::make_unique<Source>();
  source->bytes = std::move(bytes);
  source->elf.reset(
      ::elf_memory(reinterpret_cast<char*>(source->bytes.data()), source->bytes.size()));
  MEMSPY_CHECK(source->load(name));
  return std::unique_ptr<CfiTable>(new CfiTable(std::move(source)));
}

const CfiRow* CfiTable::find(std::uint64_t address) {
  if (const auto it = known_.find(address); it != known_.end()) return it->second;
  if (known_.size() >= kMaxKnown) known_.clear();
  const auto above = rows_.upper_bound(address);
  const CfiRow* row = nullptr;
  if (above != rows_.begin() && address < std::prev(above)->second.end) {
    row = &std::prev(above)->second;
  } else {
    row = load(address);
  }
  known_[address] = row;
  return row;
}

const CfiRow* CfiTable::load(std::uint64_t address) {
  if (rows_.size() >= kMaxRows) {
    known_.clear();
    rows_.clear();
  }
  if (!source_->is_code(address)) return nullptr;
  const auto frame = source_->find_frame(address);
  CfiRow row;
  if (!frame || !fill_row(row, frame.get())) return nullptr;
  if (address < row.begin || address >= row.end) return nullptr;
  // Behind DW_CFA_restore_state libdw takes the row to begin where the restored one did, before the
  // epilogue that lies in between (elfutils 0.188): only from here on it is sure.
  row.begin = address;
  // What a hostile table says of one address must not overlap what it has said of another.
  const auto next = rows_.lower_bound(row.begin);
  if (next != rows_.end() && next->first < row.end) row.end = next->first;
  if (next != rows_.begin()) row.begin = std::max(row.begin, std::prev(next)->second.end);
  if (address < row.begin || address >= row.end) return nullptr;
  return &rows_.insert_or_assign(row.begin, std::move(row)).first->second;
}

std::uint64_t CfiTable::exception_header() const { return source_->exception_header; }

std::size_t CfiTable::read(std::uint64_t address, std::span<std::byte> out) const {
  if (out.empty()) return 0;
  for (const GElf_Phdr& load : source_->loads) {
    if (address < load.p_vaddr || address - load.p_vaddr >= load.p_filesz) continue;
    const std::uint64_t within = address - load.p_vaddr;
    const std::uint64_t length = std::min<std::uint64_t>(out.size(), load.p_filesz - within);
    if (load.p_offset > INT64_MAX - within) return 0;
    const std::uint64_t at = load.p_offset + within;
    if (source_->fd.valid()) {
      const ssize_t got = ::pread(source_->fd.get(), out.data(), length, static_cast<off_t>(at));
      return got > 0 ? static_cast<std::size_t>(got) : 0;
    }
    if (at >= source_->bytes.size()) return 0;
    const std::size_t there = std::min<std::size_t>(length, source_->bytes.size() - at);
    std::memcpy(out.data(), source_->bytes.data() + at, there);
    return there;
  }
  return 0;
}

}  // namespace memspy::symbolize

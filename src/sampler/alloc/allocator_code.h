// Which code of a process allocates, by address: the functions of CPython's memory domains and of
// the C library, and the places into which compilers have copied the former. What frees does not
// count.
//
// Nothing here is done while a thread of the target stands still, but for find() of an address and
// may_call(). A search takes tens of milliseconds: it has nothing of the tracer thread's, and is
// done beside it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cpython/allocators/domain_table.h"
#include "memspy/memory_map.h"
#include "procfs/proc_dir.h"
#include "unwind/code_map.h"
#include "unwind/unwinder.h"

namespace memspy::sampler {

enum class CodeKind : std::uint8_t {
  kPython,   // a function of the interpreter's that allocates, or makes objects and nothing else
  kLibrary,  // malloc() and its kin, mmap(), brk(), operator new
  kInlined,  // a copy of the allocator's fast path in another function
};

struct CodeRange {  // addresses of the target
  std::uint64_t begin = 0, end = 0;
  CodeKind kind = CodeKind::kPython;
};

// Sorted, and disjoint: of two that overlap the earlier one is cut.
std::vector<CodeRange> in_order(std::vector<CodeRange> ranges);

class AllocatorCode {
 public:
  // kUnsupported: nothing in the process is known to allocate. Any thread.
  static Result<std::unique_ptr<AllocatorCode>> search(const procfs::ProcDir& proc, Pid pid);
  // `frees`: whole functions that give memory back.
  explicit AllocatorCode(std::vector<CodeRange> ranges, std::vector<CodeRange> frees = {});

  // Of the instruction at `address`.
  std::optional<CodeKind> find(std::uint64_t address) const;
  // Is it in a whole function that allocates: may a return address there be of an allocation?
  std::optional<CodeKind> find_caller(std::uint64_t address) const;
  // Is it in a function that gives memory back? What that calls is no allocation: free() ends in
  // brk() where the heap's end is free.
  bool frees(std::uint64_t address) const;
  // Could a stack of these words (any of which may be left over) be that of a callee of such a
  // function?
  bool may_call(std::span<const std::byte> stack) const;

  // The interpreter has other functions in its tables than when this was made: hooks were
  // installed.
  bool outdated(const MemoryReader& memory) const;

  std::size_t inlined_places() const;
  std::size_t functions() const { return ranges_.size() - inlined_places(); }

 private:
  std::vector<CodeRange> ranges_, frees_;
  std::uint64_t least_ = 0, most_ = 0;  // of the whole functions
  std::vector<cpython::DomainTable> tables_;
};

// What a stack says of an allocation.
enum class AllocationSign {
  kAllocating,
  kElsewhere,
  kUnknown,  // the stack cannot be followed to where that would be decided
};
struct AllocationJudgement {
  AllocationSign sign = AllocationSign::kUnknown;
  CodeKind kind = CodeKind::kPython;
};

// An allocator's function innermost, or among the callers as far as the innermost evaluation loop
// (beyond it is what called Python code) or the end of the copied stack; and none around it that
// gives memory back.
AllocationJudgement judge(const AllocatorCode& code, const unwind::NativeStack& stack);

}  // namespace memspy::sampler

#include "sampler/alloc/allocator_code.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "attach/process_vm.h"
#include "base/log.h"
#include "cpython/allocators/inlined_calls.h"
#include "sampler/alloc/code_parts.h"
#include "symbolize/module_index.h"

namespace memspy::sampler {
namespace {

using cpython::DomainTable;
using symbolize::FunctionBounds;

// Domains in which CPython allocates; each goes through a table.
constexpr std::array<std::string_view, 3> kDomains = {"PyObject_Malloc", "PyMem_Malloc",
                                                      "PyMem_RawMalloc"};
// The rest of their functions, and those that make an object of a type and do nothing else. A
// version that lacks one has another.
constexpr std::array<std::string_view, 18> kPythonFunctions = {
    "PyObject_Calloc",     "PyObject_Realloc",    "PyMem_Calloc",
    "PyMem_Realloc",       "PyMem_RawCalloc",     "PyMem_RawRealloc",
    "_PyObject_New",       "_PyObject_NewVar",    "_PyObject_GC_New",
    "_PyObject_GC_NewVar", "_PyObject_GC_Malloc", "_PyObject_GC_Calloc",
    "_PyObject_GC_Resize", "PyType_GenericAlloc", "_PyType_AllocNoTrack",
    "_PyMem_RawStrdup",    "_PyMem_Strdup",       "PyUnstable_Object_GC_NewWithExtraData"};
// Any of these tells a library that serves memory; libraries without are not asked further.
constexpr std::array<std::string_view, 3> kServers = {"malloc", "mmap", "_Znwm"};
constexpr std::array<std::string_view, 20> kLibraryFunctions = {"malloc",
                                                                "calloc",
                                                                "realloc",
                                                                "reallocarray",
                                                                "memalign",
                                                                "aligned_alloc",
                                                                "posix_memalign",
                                                                "valloc",
                                                                "pvalloc",
                                                                "mmap",
                                                                "mmap64",
                                                                "mremap",
                                                                "brk",
                                                                "sbrk",
                                                                "_Znwm",
                                                                "_Znam",
                                                                "_ZnwmSt11align_val_t",
                                                                "_ZnamSt11align_val_t",
                                                                "_ZnwmRKSt9nothrow_t",
                                                                "_ZnamRKSt9nothrow_t"};
constexpr std::array<std::string_view, 8> kFreeing = {
    "free", "cfree", "_ZdlPv", "_ZdaPv", "munmap", "PyObject_Free", "PyMem_Free", "PyMem_RawFree"};
// What those of above may end in, or call, and is not allocation: these, and those that free.
constexpr std::array<std::string_view, 3> kOthers = {"memset", "memcpy", "memmove"};
constexpr std::size_t kDomainCode = 128;  // bytes of a domain's function that lead to its table
constexpr std::uint64_t kMostText = 256 << 20;
constexpr std::size_t kMostJudged = 64;  // frames

bool is_extension(const std::string& path) {
  return path.find(".cpython-") != std::string::npos || path.find(".abi3.") != std::string::npos ||
         path.find("/site-packages/") != std::string::npos ||
         path.find("/dist-packages/") != std::string::npos;
}

// The ranges of one process, as they are found.
class Finder {
 public:
  Finder(const procfs::ProcDir& proc, Pid pid, const MemoryReader& memory)
      : memory_(memory), code_(proc, pid, memory, store_) {}

  void add_library(const ModuleImage& module) {
    if (is_extension(module.path())) return;
    const auto serves = [&](std::string_view name) { return module.find_symbol(name).has_value(); };
    if (std::none_of(kServers.begin(), kServers.end(), serves)) return;
    add_others(module);
    for (const std::string_view name : kLibraryFunctions)
      if (const auto at = module.find_symbol(name)) add_function(*at, CodeKind::kLibrary);
  }

  void add_python(const ModuleImage& module) {
    if (!module.find_symbol(kDomains.front())) return;
    add_others(module);
    for (const std::string_view name : kDomains) {
      if (const auto at = module.find_symbol(name)) add_domain(*at);
    }
    for (const std::string_view name : kPythonFunctions)
      if (const auto at = module.find_symbol(name)) add_function(*at, CodeKind::kPython);
    add_inlined(module);
  }

  std::vector<CodeRange> take_ranges() { return std::move(ranges_); }
  std::vector<CodeRange> take_freeing() { return std::move(freeing_); }
  std::vector<DomainTable> take_tables() { return std::move(tables_); }

 private:
  const FunctionBounds& bounds_of(const unwind::CodeModule& module) {
    auto& bounds = bounds_[&module];
    if (!bounds) bounds = std::make_unique<FunctionBounds>(*module.rows);
    return *bounds;
  }

  struct Function {
    const unwind::CodeModule* module = nullptr;
    FunctionRange range;
    std::uint64_t bias = 0;
  };
  std::optional<Function> function_at(std::uint64_t address) {
    const unwind::CodePlace place = code_.find(address);
    if (place.module == nullptr || !place.module->rows) return std::nullopt;
    const auto range = bounds_of(*place.module).find(place.address);
    if (!range) return std::nullopt;
    return Function{place.module, *range, address - place.address};
  }

  // With what it is continued in. Nothing of an evaluation loop is anybody's part.
  std::vector<CodeRange> whole_function(RemoteAddr address, CodeKind kind, Reach reach) {
    const auto function = function_at(address.value);
    if (!function || function->module->in_loop(function->range.begin)) return {};
    const auto& module = *function->module;
    auto parts = parts_of(*module.rows, bounds_of(module), function->range, reach);
    parts.insert(parts.begin(), function->range);
    std::vector<CodeRange> whole;
    for (const FunctionRange& part : parts) {
      if (!module.in_loop(part.begin))
        whole.push_back({part.begin + function->bias, part.end + function->bias, kind});
    }
    return whole;
  }

  void add_function(RemoteAddr address, CodeKind kind, Reach reach = Reach::kJumps) {
    for (const CodeRange& part : whole_function(address, kind, reach))
      if (!others_.contains(part.begin)) ranges_.push_back(part);
  }

  void add_freeing(RemoteAddr address) {
    others_.insert(address.value);
    for (const CodeRange& part : whole_function(address, CodeKind::kLibrary, Reach::kJumps))
      freeing_.push_back(part);
  }

  void add_others(const ModuleImage& module) {
    for (const std::string_view name : kOthers)
      if (const auto at = module.find_symbol(name)) others_.insert(at->value);
    for (const std::string_view name : kFreeing)
      if (const auto at = module.find_symbol(name)) add_freeing(*at);
  }

  void add_domain(RemoteAddr address) {
    add_function(address, CodeKind::kPython);
    std::array<std::byte, kDomainCode> code{};
    const std::size_t size = memory_.read_some(address, code);
    const auto is_function = [&](RemoteAddr at) {
      const auto function = function_at(at.value);
      return function && function->range.begin + function->bias == at.value;
    };
    const auto table =
        cpython::find_domain_table(memory_, std::span(code).first(size), address, is_function);
    if (!table) return;
    tables_.push_back(*table);
    add_freeing(table->free);
    for (const RemoteAddr at : {table->malloc, table->calloc, table->realloc})
      add_function(at, CodeKind::kPython);
  }

  // Copies of the functions that stand in the tables.
  void add_inlined(const ModuleImage& module) {
    std::vector<std::uint64_t> functions;
    for (const DomainTable& table : tables_)
      for (const RemoteAddr at : {table.malloc, table.calloc, table.realloc})
        functions.push_back(at.value);
    std::sort(functions.begin(), functions.end());
    functions.erase(std::unique(functions.begin(), functions.end()), functions.end());
    bool any = false;
    for (const AddressRange& text : module.executable_segments()) {
      const unwind::CodePlace place = code_.find(text.start.value);
      if (place.module == nullptr || !place.module->rows) continue;
      std::vector<std::byte> code(std::min(text.size, kMostText));
      code.resize(place.module->rows->read(place.address, code));
      for (const auto at : cpython::find_guards(code, text.start.value, functions)) {
        any = true;
        ranges_.push_back({at, at + cpython::kInlinedBytes, CodeKind::kInlined});
      }
    }
    if (!any) return;
    // The copies call what the function itself calls: without it on the stack.
    for (const DomainTable& table : tables_)
      for (const RemoteAddr at : {table.malloc, table.calloc})
        add_function(at, CodeKind::kPython, Reach::kJumpsAndCalls);
  }

  const MemoryReader& memory_;
  unwind::ModuleStore store_;
  unwind::CodeMap code_;
  std::map<const unwind::CodeModule*, std::unique_ptr<FunctionBounds>> bounds_;
  std::vector<CodeRange> ranges_, freeing_;
  std::vector<DomainTable> tables_;
  std::set<std::uint64_t> others_;  // functions that do not count
};

std::optional<CodeKind> find_in(const std::vector<CodeRange>& ranges, std::uint64_t address) {
  const auto next =
      std::upper_bound(ranges.begin(), ranges.end(), address,
                       [](std::uint64_t at, const CodeRange& range) { return at < range.begin; });
  if (next == ranges.begin() || address >= std::prev(next)->end) return std::nullopt;
  return std::prev(next)->kind;
}

}  // namespace

// Whole functions come before copies inside of them, and swallow those.
std::vector<CodeRange> in_order(std::vector<CodeRange> ranges) {
  std::erase_if(ranges, [](const CodeRange& range) { return range.begin >= range.end; });
  std::stable_sort(ranges.begin(), ranges.end(), [](const CodeRange& a, const CodeRange& b) {
    const bool a_copy = a.kind == CodeKind::kInlined, b_copy = b.kind == CodeKind::kInlined;
    return std::tie(a_copy, a.begin) < std::tie(b_copy, b.begin);
  });
  std::map<std::uint64_t, CodeRange> out;  // by begin
  for (CodeRange range : ranges) {
    auto next = out.upper_bound(range.begin);
    if (next != out.begin()) range.begin = std::max(range.begin, std::prev(next)->second.end);
    if (next != out.end()) range.end = std::min(range.end, next->first);
    if (range.begin < range.end) out.emplace(range.begin, range);
  }
  std::vector<CodeRange> sorted;
  for (const auto& [begin, range] : out) sorted.push_back(range);
  return sorted;
}

AllocatorCode::AllocatorCode(std::vector<CodeRange> ranges, std::vector<CodeRange> frees)
    : ranges_(in_order(std::move(ranges))), frees_(in_order(std::move(frees))) {
  least_ = ~0ULL;
  for (const CodeRange& range : ranges_) {
    if (range.kind == CodeKind::kInlined) continue;
    least_ = std::min(least_, range.begin);
    most_ = std::max(most_, range.end);
  }
}

Result<std::unique_ptr<AllocatorCode>> AllocatorCode::search(const procfs::ProcDir& proc, Pid pid) {
  MEMSPY_TRY(map, proc.maps(pid));
  const attach::ProcessVm memory(pid);
  const symbolize::ModuleIndex modules(proc, pid, map, memory);
  Finder finder(proc, pid, memory);
  for (const ModuleImage* module : modules.modules()) {
    finder.add_library(*module);
    finder.add_python(*module);
  }
  auto code = std::make_unique<AllocatorCode>(finder.take_ranges(), finder.take_freeing());
  code->tables_ = finder.take_tables();
  if (code->ranges_.empty())
    return make_error(Errc::kUnsupported, "no function that allocates is known in this process");
  SPDLOG_DEBUG("allocators of {}: {} functions, {} inlined places, {} tables", pid.value,
               code->functions(), code->inlined_places(), code->tables_.size());
  return code;
}

std::optional<CodeKind> AllocatorCode::find(std::uint64_t address) const {
  return find_in(ranges_, address);
}

bool AllocatorCode::frees(std::uint64_t address) const {
  return find_in(frees_, address).has_value();
}

std::optional<CodeKind> AllocatorCode::find_caller(std::uint64_t address) const {
  const auto kind = find(address);
  return kind == CodeKind::kInlined ? std::nullopt : kind;
}

bool AllocatorCode::may_call(std::span<const std::byte> stack) const {
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= stack.size();
       at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, stack.data() + at, sizeof(word));
    if (word > least_ && word <= most_ && find_caller(word - 1)) return true;
  }
  return false;
}

bool AllocatorCode::outdated(const MemoryReader& memory) const {
  return std::any_of(tables_.begin(), tables_.end(), [&](const DomainTable& table) {
    const auto now = cpython::read_domain_table(memory, table.slot);
    return now && *now != table;
  });
}

std::size_t AllocatorCode::inlined_places() const {
  return static_cast<std::size_t>(
      std::count_if(ranges_.begin(), ranges_.end(),
                    [](const CodeRange& range) { return range.kind == CodeKind::kInlined; }));
}

AllocationJudgement judge(const AllocatorCode& code, const unwind::NativeStack& stack) {
  std::optional<CodeKind> found;
  for (std::size_t i = 0; i < std::min(stack.frames.size(), kMostJudged); ++i) {
    const unwind::NativeFrame& frame = stack.frames[i];
    const bool in_loop =
        frame.place.module != nullptr && frame.place.module->in_loop(frame.place.address);
    if (in_loop || (found && code.frees(frame.code)))
      return {found && in_loop ? AllocationSign::kAllocating : AllocationSign::kElsewhere,
              found.value_or(CodeKind::kPython)};
    if (!found) found = i == 0 ? code.find(frame.code) : code.find_caller(frame.code);
  }
  if (found) return {AllocationSign::kAllocating, *found};
  using unwind::UnwindEnd;
  const bool lost = stack.frames.empty() ||
                    ((stack.end == UnwindEnd::kNoCaller || stack.end == UnwindEnd::kBroken) &&
                     stack.frames.size() < kMostJudged);
  return {lost ? AllocationSign::kUnknown : AllocationSign::kElsewhere, CodeKind::kPython};
}

}  // namespace memspy::sampler

#include <fcntl.h>

#include <algorithm>

#include "base/log.h"
#include "symbolize/elf_file.h"
#include "symbolize/mapped_file.h"
#include "unwind/code_map.h"
#include "unwind/eval_loop.h"

namespace memspy::unwind {
namespace {

constexpr std::size_t kMaxVdso = 64 << 10;  // two pages today

// What the whole image says besides its rows. It is read once; only the rows stay open.
void describe(CodeModule& module, UniqueFd fd) {
  auto image =
      symbolize::ElfFile::open(UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)), module.path);
  if (!image.has_value()) return;
  module.build_id = (*image)->build_id();
  module.segments = (*image)->segments();
  const int number = fd.get();
  auto rows = symbolize::CfiTable::open(std::move(fd), module.path);
  if (!rows.has_value()) return;
  module.fd = number;
  module.rows = std::move(rows).value();
  module.loop = find_evaluation_loop(**image, *module.rows);
}

}  // namespace

const CodeModule* ModuleStore::add(std::unique_ptr<CodeModule> module) {
  SPDLOG_DEBUG("code module {}: build id {}, {} ranges of the evaluation loop", module->path,
               module->build_id, module->loop.size());
  modules_.push_back(std::move(module));
  return modules_.back().get();
}

const CodeModule* ModuleStore::open(const procfs::ProcDir& proc, Pid pid, const Mapping& mapping,
                                    const MemoryReader& memory) {
  return mapping.path == "[vdso]" ? open_vdso(mapping, memory)
                                  : open_file(proc, pid, mapping, memory);
}

const CodeModule* ModuleStore::open_file(const procfs::ProcDir& proc, Pid pid,
                                         const Mapping& mapping, const MemoryReader& memory) {
  auto module = std::make_unique<CodeModule>();
  module->path = mapping.path;
  const symbolize::ExecutableTest is_executable(proc, pid);
  auto file = symbolize::open_mapped_file(proc, pid, mapping, is_executable(mapping), memory);
  const auto key = file.has_value() ? symbolize::FileKey::of(file->fd.get()) : std::nullopt;
  if (!key) {
    const CodeModule*& known = unreadable_[mapping.path];
    return known != nullptr ? known : known = add(std::move(module));
  }
  const CodeModule*& known = files_[*key];
  if (known != nullptr) return known;
  describe(*module, std::move(file->fd));
  return known = add(std::move(module));
}

const CodeModule* ModuleStore::open_vdso(const Mapping& mapping, const MemoryReader& memory) {
  if (vdso_ != nullptr) return vdso_;  // the kernel's, the same for all
  auto module = std::make_unique<CodeModule>();
  module->path = mapping.path;
  std::vector<std::byte> bytes(std::min<std::uint64_t>(mapping.size(), kMaxVdso));
  bytes.resize(memory.read_some(mapping.start, bytes));
  if (auto image = symbolize::ElfFile::from_bytes(bytes, mapping.path); image.has_value()) {
    module->build_id = (*image)->build_id();
    module->segments = (*image)->segments();
  }
  auto rows = symbolize::CfiTable::from_bytes(std::move(bytes), mapping.path);
  if (rows.has_value()) module->rows = std::move(rows).value();
  return vdso_ = add(std::move(module));
}

}  // namespace memspy::unwind

#include "symbolize/module_index.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <tuple>

#include "procfs/pagemap.h"
#include "symbolize/mapped_file.h"
#include "symbolize/module.h"

namespace memspy::symbolize {
namespace {

using Load = std::vector<Mapping>;  // the mappings of one load of a file, ascending

bool has_code(const Load& load) {
  return std::any_of(load.begin(), load.end(), [](const Mapping& m) { return m.executable; });
}

// A file can be mapped more than once: a second copy of a library, or a tool reading its symbols.
// A load begins where the file begins, unless that only continues a load without code so far (tiny
// files have several segments in their first page).
std::vector<Load> loads_of_files(const MemoryMap& map) {
  using FileKey = std::tuple<std::uint64_t, std::uint64_t, std::string>;
  std::map<FileKey, std::size_t> open_loads;
  std::vector<Load> loads;
  for (const auto& mapping : map) {
    // A core file names files, and knows no inodes.
    if (mapping.inode == 0 && !mapping.path.starts_with('/')) continue;
    const FileKey key{mapping.device, mapping.inode, mapping.path};
    const auto it = open_loads.find(key);
    const auto begins = [&](const Load& load) {
      return mapping.offset == 0 && (has_code(load) || load.back().end != mapping.start);
    };
    if (it == open_loads.end() || begins(loads[it->second])) {
      open_loads[key] = loads.size();
      loads.push_back({mapping});
    } else {
      loads[it->second].push_back(mapping);
    }
  }
  return loads;
}

// Reading a page that is not there would make the target map it, and its neighbours with it.
bool is_resident(const Result<procfs::Pagemap>& pagemap, RemoteAddr address) {
  if (!pagemap.has_value()) return true;  // nobody can tell
  std::array<std::uint64_t, 1> entry{};
  const auto got = pagemap->read(address, entry);
  return got.has_value() && *got == 1 && procfs::page_present(entry[0]);
}

// Which loads begin with an ELF header, as far as memory is there to be read: files such as a
// jitdump have executable mappings too. One batch of reads.
std::vector<bool> look_like_elf(const std::vector<Load>& loads, const MemoryReader& memory,
                                const Result<procfs::Pagemap>& pagemap) {
  constexpr std::array<char, 4> kMagic = {'\x7f', 'E', 'L', 'F'};
  std::vector<std::array<char, 4>> heads(loads.size());
  std::vector<ReadRequest> requests;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const RemoteAddr start = loads[i].front().start;
    const auto head = std::as_writable_bytes(std::span(heads[i]));
    requests.push_back({start, is_resident(pagemap, start) ? head : head.first(0), 0});
  }
  memory.read_many(requests);
  std::vector<bool> elf;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const bool readable = requests[i].done == kMagic.size() && loads[i].front().offset == 0;
    elf.push_back(!readable || heads[i] == kMagic);
  }
  return elf;
}

}  // namespace

struct ModuleIndex::Impl {
  std::vector<std::unique_ptr<Module>> modules;
  std::vector<const ModuleImage*> images;
};

ModuleIndex::ModuleIndex(const procfs::ProcDir& proc, Pid pid, const MemoryMap& map,
                         const MemoryReader& memory, ElfMemo* memo)
    : impl_(std::make_unique<Impl>()) {
  auto context = std::make_shared<ModuleContext>(ModuleContext{proc, pid, memory, {}, memo});
  for (const auto& mapping : map) context->mapped.emplace_back(mapping.start, mapping.end);
  const ExecutableTest is_executable(proc, pid);
  auto loads = loads_of_files(map);
  std::erase_if(loads,
                [&](const Load& load) { return !has_code(load) && !is_executable(load.front()); });
  const auto elf = look_like_elf(loads, memory, procfs::Pagemap::open(proc, pid));
  for (std::size_t i = 0; i < loads.size(); ++i) {
    if (!elf[i]) continue;
    const bool program = is_executable(loads[i].front());
    impl_->modules.push_back(std::make_unique<Module>(context, std::move(loads[i]), program));
  }
  std::stable_partition(impl_->modules.begin(), impl_->modules.end(),
                        [](const auto& module) { return module->is_executable(); });
  for (const auto& module : impl_->modules) impl_->images.push_back(module.get());
}

ModuleIndex::~ModuleIndex() = default;

const std::vector<const ModuleImage*>& ModuleIndex::modules() const { return impl_->images; }

const Module* ModuleIndex::find_module(RemoteAddr address) const {
  const Module* below = nullptr;  // the nearest one that begins below: only its .bss can be meant
  for (const auto& module : impl_->modules) {
    if (module->maps(address)) return module.get();
    const RemoteAddr start = module->mappings().front().start;
    if (start <= address && (below == nullptr || start > below->mappings().front().start)) {
      below = module.get();
    }
  }
  return below != nullptr && below->holds(address) ? below : nullptr;
}

}  // namespace memspy::symbolize

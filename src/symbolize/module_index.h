// The ELF files mapped into a live process, opened the way that still works when the file was
// deleted, replaced, or lives in another mount namespace. Implements the SymbolSource port.
#pragma once

#include <memory>
#include <vector>

#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"
#include "procfs/proc_dir.h"

namespace memspy::symbolize {

class ElfMemo;
class Module;

class ModuleIndex final : public SymbolSource {
 public:
  // Lazy: files are opened on first question. Roads to a file, in order: /proc/PID/map_files/A-B,
  // /proc/PID/exe (the executable), /proc/PID/root + path with device and inode checked, then the
  // ELF image in the target's memory (dynamic symbols only). `memory` must outlive the index, and
  // so must `memo`, where one is given: what other processes asked of the same files.
  ModuleIndex(const procfs::ProcDir& proc, Pid pid, const MemoryMap& map,
              const MemoryReader& memory, ElfMemo* memo = nullptr);
  ~ModuleIndex() override;
  const std::vector<const ModuleImage*>& modules() const override;
  // The module (symbolize/module.h) whose code or data holds `address`, or nullptr.
  const Module* find_module(RemoteAddr address) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace memspy::symbolize

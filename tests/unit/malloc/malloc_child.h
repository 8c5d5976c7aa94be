// malloc_target.c, running: it has said what it holds, and waits.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "attach/process_vm.h"
#include "memspy/memory_map.h"
#include "memspy/symbol_source.h"
#include "symbolize/module_index.h"

namespace memspy::testing {

class MallocChild {
 public:
  // `command`: the program and its arguments.
  MallocChild(std::vector<std::string> command, std::vector<std::string> environment = {});
  ~MallocChild();
  MallocChild(const MallocChild&) = delete;
  MallocChild& operator=(const MallocChild&) = delete;

  std::uint64_t figure(const std::string& name) const { return figures_.at(name); }
  // User address -> malloc_usable_size().
  const std::map<std::uint64_t, std::uint64_t>& live() const { return live_; }
  Pid pid() const { return {pid_}; }
  const attach::ProcessVm& memory() const { return *memory_; }
  const MemoryMap& map() const { return map_; }
  const SymbolSource& symbols() const { return *symbols_; }
  std::vector<AddressRange> resident() const;

 private:
  void read_report(int out);

  pid_t pid_ = -1;
  int in_ = -1;
  std::map<std::string, std::uint64_t> figures_;
  std::map<std::uint64_t, std::uint64_t> live_;
  MemoryMap map_;
  std::unique_ptr<attach::ProcessVm> memory_;
  std::unique_ptr<symbolize::ModuleIndex> symbols_;
};

}  // namespace memspy::testing

// All writable memory of a process that stands still, copied at once; the rest is read from the
// process itself. For tests of what needs views; nothing is stopped here.
#pragma once

#include <cstdint>
#include <vector>

#include "attach/process_vm.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"

namespace memspy::testing {

class CopiedProcess final : public MemoryReader {
 public:
  CopiedProcess(Pid pid, const MemoryMap& map);
  std::size_t read_some(RemoteAddr addr, std::span<std::byte> out) const override;
  std::span<const std::byte> view(RemoteAddr addr) const override;

 private:
  struct Piece {
    std::uint64_t start = 0;
    std::vector<std::byte> bytes;
  };
  attach::ProcessVm live_;
  std::vector<Piece> pieces_;  // ascending
};

}  // namespace memspy::testing

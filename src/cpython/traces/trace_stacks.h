// The stacks that traces lead to, each read once: tracemalloc keeps equal ones only once itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cpython/heap/heap_bytes.h"
#include "cpython/layout.h"
#include "cpython/object_reader.h"
#include "memspy/trace_table.h"

namespace memspy::cpython {

// Holds references: everything given must outlive it.
class TraceStacks {
 public:
  // `memory_bytes`: what frames and names can take at most; overlapping ones would claim more.
  TraceStacks(const Layout& layout, HeapBytes& bytes, std::uint64_t memory_bytes,
              TraceTable& table);

  // The number of the stack at `address`, which is that of "[unreadable]" when there is none.
  std::uint32_t read(RemoteAddr address);
  bool is_unreadable(std::uint32_t stack) const { return stack == unreadable_; }
  // Is there a stack whose first frame has a name? Nothing is kept.
  bool looks_right(RemoteAddr address);

 private:
  struct Head {
    std::uint32_t count = 0, depth = 0;
  };
  std::optional<Head> head_at(RemoteAddr address);
  std::uint32_t add(RemoteAddr address, const Head& head);
  std::uint32_t unreadable();
  std::uint32_t file_at(RemoteAddr name);
  std::uint32_t intern(std::string name);
  std::optional<std::string> name_at(RemoteAddr name);
  RemoteAddr frame_at(RemoteAddr stack, std::uint32_t index) const;

  const Layout& layout_;
  HeapBytes& bytes_;
  ObjectReader objects_;
  TraceTable& table_;
  std::uint64_t frames_left_, name_bytes_left_;
  std::uint32_t unreadable_;
  std::unordered_map<RemoteAddr, std::uint32_t> stacks_, files_;
  std::unordered_map<std::string, std::uint32_t> file_of_name_;
};

}  // namespace memspy::cpython

// What tracemalloc knows of a process, as read from outside: every traced block with its size and
// the lines that allocated it. A model only; cpython fills it, report prints it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "memspy/address.h"

namespace memspy {

// A place in a program. tracemalloc keeps no names of functions.
struct TraceFrame {
  std::uint32_t file = 0;  // of TraceTable::files
  std::uint32_t line = 0;  // 0: not known to tracemalloc either
};

// The calls that led to an allocation, of TraceTable::frames, most recent first.
struct TraceStack {
  std::size_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t depth =
      0;  // of the whole stack, with what was not kept; 0: not recorded (up to 3.8)
};

inline constexpr std::uint32_t kNoTraceType = 0xffffffff;

struct Trace {
  RemoteAddr block;
  std::uint64_t bytes = 0;            // as asked for, without the allocator's rounding
  std::uint32_t stack = 0;            // of TraceTable::stacks
  std::uint32_t domain = 0;           // 0: Python's own allocators
  std::uint32_t type = kNoTraceType;  // of TraceTable::types, where they were looked for
};

// What the tables hold and could not be read. Nothing of it is silent: reports print what is not 0.
struct TraceDamage {
  std::uint64_t missing = 0;        // traces that the tables count and no chain led to
  std::uint64_t broken_chains = 0;  // rings, entries of other chains, entries that cannot be read
  std::uint64_t traces = 0;         // of an impossible size, or not readable: in no sum
  std::uint64_t stacks = 0;  // traces whose stack cannot be read; they count for "[unreadable]"
  std::uint64_t names = 0;   // files whose name cannot be read: "[unreadable]"
  std::uint64_t frames = 0;  // left out of stacks that are longer than memory can hold
  bool any() const { return missing + broken_chains + traces + stacks + names + frames > 0; }
};

struct TraceTable {
  std::vector<std::string> files;
  std::vector<TraceFrame> frames;
  std::vector<TraceStack> stacks;
  std::vector<std::string> types;
  std::vector<Trace> traces;

  std::uint64_t traced_bytes = 0;  // sum over `traces`
  // get_traced_memory() as the target itself would answer; nullopt: not found (stripped builds).
  std::optional<std::uint64_t> current_bytes, peak_bytes;
  std::uint64_t claimed = 0;      // traces that the tables say they hold
  std::uint32_t frame_limit = 0;  // frames kept per trace; 0: not known
  // What tracing itself costs, about: entries, traces and stacks in the chunks of malloc that hold
  // them, which are traced by nobody.
  std::uint64_t own_bytes = 0;
  std::string found_by;  // the way to the table, for a person
  TraceDamage damage;

  std::span<const TraceFrame> frames_of(const TraceStack& stack) const {
    return std::span(frames).subspan(stack.first, stack.count);
  }
};

}  // namespace memspy

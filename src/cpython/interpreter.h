// A CPython interpreter inside a target: found, its layout chosen and validated. Knows memory,
// mappings and symbols through ports only; nothing of ptrace or /proc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cpython/anchors.h"
#include "cpython/layout.h"
#include "cpython/version.h"
#include "memspy/memory_map.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"

namespace memspy::cpython {

// One way that was tried to find the runtime, in one file.
struct LocatorAttempt {
  std::string method;  // "symbol _PyRuntime", "debug offsets cookie", "scan of .data and .bss"…
  std::string file;
  bool won = false;
  // What was seen: "no such symbol (stripped)", "4 threads, 31 frames decoded".
  std::string evidence;
};

struct OpenOptions {
  // --assume-layout 3.N: use N's layout, for a version memspy does not know.
  std::optional<int> assume_minor;
};

struct ThreadState {
  RemoteAddr address;
  RemoteAddr interpreter;
  std::int64_t interpreter_id = 0;  // 0 is the main interpreter
  std::uint64_t thread_id = 0;  // pthread_self(); on x86-64 it equals the kernel thread's fs_base
  std::int32_t native_thread_id = 0;  // 3.11+; in the target's own PID namespace; else 0
  bool holds_gil = false;
};

// GC state of one interpreter (3.6: of the process).
struct GcState {
  std::int64_t interpreter_id = 0;
  bool enabled = false;
  bool collecting = false;
  struct Generation {
    std::int64_t threshold = 0, count = 0;
    std::uint64_t collections = 0, collected = 0, uncollectable = 0;
  };
  Generation generations[3];
};

// pymalloc, all interpreters together.
struct PymallocState {
  std::uint64_t arenas = 0, arena_bytes = 0;
  std::uint64_t used_bytes = 0;   // of blocks in use
  std::uint64_t used_blocks = 0;  // as sys.getallocatedblocks() counts them
  std::uint64_t free_bytes = 0;   // everything else in the arenas
  bool complete = true;           // false: a cap was reached or an arena could not be read
};

class Interpreter {
 public:
  // Tries every locator on every plausible module and validates each candidate by decoding whole
  // stacks. kUnsupported: no CPython here, or one memspy does not know; the error's `why` lists the
  // attempts. kUnreadable while the runtime is not initialised yet (a process that has just
  // started). `attempts` may be null; it is filled on success and on failure.
  static Result<Interpreter> open(const MemoryReader& memory, const MemoryMap& map,
                                  const SymbolSource& symbols, const OpenOptions& options,
                                  std::vector<LocatorAttempt>* attempts);

  // From parts that are known to fit, without a look at the target: for tests and replays.
  Interpreter(Version version, std::shared_ptr<const Layout> layout, const Anchors& anchors)
      : version_(std::move(version)), layout_(std::move(layout)), anchors_(anchors) {}

  const Version& version() const { return version_; }
  const Layout& layout() const { return *layout_; }
  RemoteAddr runtime() const { return anchors_.runtime; }  // _PyRuntime; 0 on 3.6
  const Anchors& anchors() const { return anchors_; }

  // All threads of all interpreters, as listed now. Bounded walk; torn entries end it.
  Result<std::vector<ThreadState>> threads(const MemoryReader& memory) const;
  // The thread state that holds the GIL of the (main) interpreter, 0 when free or in hand-over.
  RemoteAddr gil_holder(const MemoryReader& memory) const;
  Result<std::vector<GcState>> gc_states(const MemoryReader& memory) const;
  // One flag, cheap enough for every sample: is this interpreter's collector running now?
  bool collecting(const MemoryReader& memory, RemoteAddr interpreter) const;
  // Sweeps pool headers: about 1 µs a pool. kUnsupported when pymalloc is not in use.
  Result<PymallocState> pymalloc(const MemoryReader& memory, const MemoryMap& map) const;
  // Names given to threading.Thread, by thread_id; empty when `threading` was never imported.
  std::vector<std::pair<std::uint64_t, std::string>> thread_names(const MemoryReader& memory) const;

 private:
  friend class Search;  // open() of one target, in search.cpp
  Interpreter() = default;

  Version version_;
  // Shared with StackReader, which outlives a moved Interpreter.
  std::shared_ptr<const Layout> layout_;
  Anchors anchors_;
};

}  // namespace memspy::cpython

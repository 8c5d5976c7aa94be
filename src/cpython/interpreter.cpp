#include "cpython/interpreter.h"

#include <algorithm>

#include "cpython/gc_state.h"
#include "cpython/pymalloc.h"
#include "cpython/runtime_walk.h"
#include "cpython/search.h"
#include "cpython/thread_names.h"

namespace memspy::cpython {
namespace {

// What the GIL that this interpreter uses names as its holder.
RemoteAddr named_holder(const MemoryReader& memory, const Layout& layout, const Anchors& anchors,
                        RemoteAddr interpreter) {
  Result<std::uint64_t> holder = std::uint64_t{0};
  switch (layout.strategies.gil) {
    case GilKind::kStatics:
      if (anchors.tstate_current) holder = read<std::uint64_t>(memory, anchors.tstate_current);
      break;
    case GilKind::kRuntime:
      holder = read_field(memory, layout, anchors.runtime, Field::kRuntimeTstateCurrent);
      break;
    case GilKind::kInterpreterPointer: {
      const auto gil = read_pointer(memory, layout, interpreter, Field::kInterpreterGil);
      if (!gil || !*gil) return {};
      const auto locked = read_field(memory, layout, *gil, Field::kGilLocked);
      // -1: the GIL was not created yet (a word of 4 bytes)
      if (!locked || *locked != 1) return {};
      holder = read_field(memory, layout, *gil, Field::kGilLastHolder);
      break;
    }
  }
  return RemoteAddr{holder ? *holder : 0};
}

// Who holds the GIL that this interpreter uses; null when it is free or changes hands, and when
// what is named is no thread state of a listed interpreter (a build that keeps the GIL elsewhere).
RemoteAddr read_gil_holder(const MemoryReader& memory, const Layout& layout, const Anchors& anchors,
                           RemoteAddr interpreter,
                           const std::vector<InterpreterRef>& interpreters) {
  const RemoteAddr holder = named_holder(memory, layout, anchors, interpreter);
  if (!is_plausible(holder)) return {};
  const auto owner = read_pointer(memory, layout, holder, Field::kThreadInterpreter);
  if (!owner) return {};
  const bool listed =
      std::any_of(interpreters.begin(), interpreters.end(),
                  [&](const InterpreterRef& known) { return known.address == *owner; });
  return listed ? holder : RemoteAddr{};
}

}  // namespace

Result<Interpreter> Interpreter::open(const MemoryReader& memory, const MemoryMap& /*map*/,
                                      const SymbolSource& symbols, const OpenOptions& options,
                                      std::vector<LocatorAttempt>* attempts) {
  std::vector<LocatorAttempt> own_attempts;
  return Search(memory, symbols, options, attempts != nullptr ? *attempts : own_attempts).run();
}

Result<std::vector<ThreadState>> Interpreter::threads(const MemoryReader& memory) const {
  MEMSPY_TRY(interpreters, list_interpreters(memory, *layout_, anchors_));
  std::vector<ThreadState> threads;
  for (const InterpreterRef& interpreter : interpreters) {
    const RemoteAddr holder =
        read_gil_holder(memory, *layout_, anchors_, interpreter.address, interpreters);
    for (const Block& block : list_threads(memory, *layout_, interpreter.address)) {
      ThreadState thread;
      thread.address = block.address();
      thread.interpreter = interpreter.address;
      thread.interpreter_id = interpreter.id;
      thread.thread_id = block.get(*layout_, Field::kThreadThreadId);
      thread.native_thread_id =
          static_cast<std::int32_t>(block.get(*layout_, Field::kThreadNativeThreadId));
      thread.holds_gil = thread.address == holder;
      threads.push_back(thread);
    }
  }
  return threads;
}

RemoteAddr Interpreter::gil_holder(const MemoryReader& memory) const {
  const auto interpreters = list_interpreters(memory, *layout_, anchors_);
  if (!interpreters) return {};
  return read_gil_holder(memory, *layout_, anchors_, interpreters->back().address, *interpreters);
}

Result<std::vector<GcState>> Interpreter::gc_states(const MemoryReader& memory) const {
  return read_gc_states(memory, *layout_, anchors_);
}

bool Interpreter::collecting(const MemoryReader& memory, RemoteAddr interpreter) const {
  return read_collecting(memory, *layout_, anchors_, interpreter);
}

Result<PymallocState> Interpreter::pymalloc(const MemoryReader& memory,
                                            const MemoryMap& map) const {
  return read_pymalloc(memory, map, *layout_, anchors_);
}

std::vector<std::pair<std::uint64_t, std::string>> Interpreter::thread_names(
    const MemoryReader& memory) const {
  return read_thread_names(memory, *layout_, anchors_);
}

}  // namespace memspy::cpython

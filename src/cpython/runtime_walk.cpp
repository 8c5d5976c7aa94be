#include "cpython/runtime_walk.h"

#include <unordered_set>

namespace memspy::cpython {

Result<std::vector<InterpreterRef>> list_interpreters(const MemoryReader& memory,
                                                      const Layout& layout,
                                                      const Anchors& anchors) {
  MEMSPY_TRY(head, read<std::uint64_t>(memory, anchors.interpreters_head));
  if (head == 0) {
    return make_error(Errc::kUnreadable, "the Python runtime has no interpreter yet, or no more");
  }
  std::vector<InterpreterRef> interpreters;
  std::unordered_set<RemoteAddr> seen;
  for (RemoteAddr at{head}; at && interpreters.size() < kMaxInterpreters;) {
    if (!is_plausible(at) || !seen.insert(at).second) {
      return make_error(Errc::kCorrupt, "the list of interpreters does not hold together");
    }
    InterpreterRef found{at, 0};
    if (layout.has(Field::kInterpreterId)) {
      MEMSPY_TRY(id, read_field(memory, layout, at, Field::kInterpreterId));
      found.id = static_cast<std::int64_t>(id);
    }
    interpreters.push_back(found);
    MEMSPY_TRY(next, read_field(memory, layout, at, Field::kInterpreterNext));
    at = RemoteAddr{next};
  }
  if (!layout.has(Field::kInterpreterId)) {
    for (std::size_t i = 0; i < interpreters.size(); ++i) {
      interpreters[i].id = static_cast<std::int64_t>(interpreters.size() - 1 - i);
    }
  }
  return interpreters;
}

std::vector<Block> list_threads(const MemoryReader& memory, const Layout& layout,
                                RemoteAddr interpreter) {
  std::vector<Block> threads;
  std::unordered_set<RemoteAddr> seen;
  const auto head = read_pointer(memory, layout, interpreter, Field::kInterpreterThreadsHead);
  if (!head) return threads;
  for (RemoteAddr at = *head; at && threads.size() < kMaxThreads && seen.insert(at).second;) {
    auto thread = Block::read(memory, at, layout.size(Struct::kThread));
    if (!thread || thread->pointer(layout, Field::kThreadInterpreter) != interpreter) break;
    at = thread->pointer(layout, Field::kThreadNext);
    threads.push_back(std::move(*thread));
  }
  return threads;
}

}  // namespace memspy::cpython

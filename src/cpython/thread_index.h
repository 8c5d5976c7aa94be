// Kernel threads to thread states. A known thread costs nothing to find and is validated when its
// state is read; that a thread has no state is remembered for as long as no state was added.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cpython/frame_walker.h"
#include "cpython/interpreter.h"
#include "cpython/thread_view.h"

namespace memspy::cpython {

class ThreadIndex {
 public:
  ThreadIndex(const Interpreter& interpreter, const MemoryReader& memory);

  // 0: the thread has no state.
  RemoteAddr find(std::uint64_t thread_id);
  // The same, after the state that find() gave turned out to be none: walks the list.
  RemoteAddr find_anew(std::uint64_t thread_id);
  // Whose state this was when the list was last walked; 0: not listed.
  std::uint64_t thread_id_of(RemoteAddr state) const;

 private:
  // New states go to the front of their interpreter's list.
  struct ListHead {
    RemoteAddr interpreter;
    RemoteAddr state;
    std::uint64_t state_id = 0;  // never given twice (3.7+): the address may be
  };

  void walk_list();
  void note_heads(const std::vector<ThreadState>& states);
  // The heads and the newest interpreter as they are now; nullopt when one cannot be read.
  std::optional<std::vector<std::uint64_t>> read_heads();
  bool nothing_added();
  RemoteAddr choose(std::uint64_t thread_id);
  bool runs_python(const ThreadState& state);

  const Interpreter* interpreter_;
  const MemoryReader* memory_;
  ThreadViewReader views_;
  MemoryCopy copy_;
  std::unordered_multimap<std::uint64_t, ThreadState> by_thread_;
  std::unordered_map<RemoteAddr, std::uint64_t> thread_of_;
  std::unordered_map<std::uint64_t, std::uint32_t> without_state_;
  std::vector<ListHead> heads_;
  std::optional<std::vector<std::uint64_t>> heads_seen_;  // read_heads() right after the walk
  // Threads enter and leave interpreters without a trace in the lists' heads: with several of them
  // nothing is remembered.
  bool several_interpreters_ = false;
};

}  // namespace memspy::cpython

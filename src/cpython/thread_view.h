// A thread state as it is at one moment, and whether it still is one: freed thread states keep most
// of their bytes, so what counts is that the interpreter's list leads to it.
#pragma once

#include <cstdint>
#include <optional>

#include "cpython/anchors.h"
#include "cpython/layout.h"
#include "cpython/memory_copy.h"

namespace memspy::cpython {

struct ThreadView {
  RemoteAddr interpreter;
  std::uint64_t thread_id = 0;  // pthread_self()
  RemoteAddr anchor;            // where the chain of frames hangs: a frame, or a _PyCFrame
  RemoteAddr link;              // the pointer that must point to this thread state
};

class ThreadViewReader {
 public:
  ThreadViewReader(const Layout& layout, const Anchors& anchors);

  void want(MemoryCopy& copy, RemoteAddr state) const { copy.want(state, head_size_); }
  // What lies behind a view: the link, the innermost frame's address, the collector's flag.
  void want_behind(MemoryCopy& copy, const ThreadView& view) const;

  // nullopt: not in the copy, or no thread state.
  std::optional<ThreadView> find(const MemoryCopy& copy, RemoteAddr state) const;
  bool is_linked(const MemoryCopy& copy, RemoteAddr state, const ThreadView& view) const;
  // A null address: the thread runs no Python code now. nullopt: not in the copy.
  std::optional<RemoteAddr> innermost_frame(const MemoryCopy& copy, const ThreadView& view) const;
  // Does the garbage collector run on this interpreter? nullopt: the flag is not in the copy, or
  // nobody knows where it is (3.6, stripped).
  std::optional<bool> collecting(const MemoryCopy& copy, const ThreadView& view) const;

  // Where the chain of frames hangs in a thread state, and whether a _PyCFrame lies between.
  Slot anchor() const { return anchor_; }
  bool through_cframe() const { return through_cframe_; }
  // The collector's flag where the process has one; 0: each interpreter has its own.
  RemoteAddr process_wide_flag() const { return process_wide_flag_; }

 private:
  RemoteAddr collecting_flag(RemoteAddr interpreter) const;

  const Layout* layout_;
  RemoteAddr process_wide_flag_;  // up to 3.8: one collector for all interpreters
  Slot anchor_;
  std::size_t head_size_ = 0;
  bool through_cframe_ = false;
};

}  // namespace memspy::cpython

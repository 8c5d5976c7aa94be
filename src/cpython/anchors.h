// The addresses in a target that everything else is read from.
#pragma once

#include "memspy/address.h"

namespace memspy::cpython {

// Zero: this version keeps it elsewhere, or it could not be found.
struct Anchors {
  RemoteAddr runtime;  // _PyRuntime; 3.7+
  // Of the pointer to the newest interpreter: in _PyRuntime, or a static variable of 3.6.
  RemoteAddr interpreters_head;
  RemoteAddr code_type;  // PyCode_Type
  // Static variables of 3.6.
  RemoteAddr tstate_current, gc_generations, gc_statistics, gc_enabled, gc_collecting;
  // Static variables of 3.6–3.11, known where the file has its .symtab.
  RemoteAddr arenas, max_arenas;
};

}  // namespace memspy::cpython

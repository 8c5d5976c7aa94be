// Where tracemalloc keeps its state: in static variables up to 3.11, which have names where the
// file has its .symtab and have to be looked for where it has none; in _PyRuntime from 3.12 on, at
// an offset that differs between builds of one minor. What is found is checked before it is
// believed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cpython/heap/heap_bytes.h"
#include "cpython/interpreter.h"
#include "cpython/traces/hash_table.h"
#include "memspy/memory_map.h"
#include "memspy/symbol_source.h"

namespace memspy::cpython {

struct TraceInput {
  const Interpreter& interpreter;
  const MemoryReader& memory;  // still: a copy or a core file
  const MemoryMap& map;
  const SymbolSource& symbols;
};

// Addresses of variables; null: not known.
struct TracePlace {
  bool tracing = false;
  bool torn = false;  // its setting says that it traces, and no table is whole: it is being changed
  RemoteAddr traces;  // of the pointer to the table
  RemoteAddr domains;  // 3.9+: of the pointer to the tables of other domains
  RemoteAddr current, peak;
  RemoteAddr config;
  std::string found_by;
  // The neighbours of `traces` may be asked for what has no name.
  bool nameless = false;
};

// `tracing` is false where tracemalloc is off. kUnsupported: this build keeps its state where it
// was not found.
Result<TracePlace> find_traces(const TraceInput& input, HeapBytes& bytes,
                               std::uint64_t memory_bytes);

// How a table was come by, and so how much of it has to be right.
enum class Trust : std::uint8_t {
  kNamed,  // by a symbol or an offset: it may be empty, and one trace in two torn
  kFound,  // by a search: what may be anything else has to be right in every trace that is looked
           // at
};
// Does this table hold traces, as far as a look at some hundred of them tells? Its functions must
// be in executable memory, hashes in their bucket, sizes and stacks possible.
bool holds_traces(const TraceInput& input, HeapBytes& bytes, RemoteAddr table,
                  std::uint64_t memory_bytes, Trust trust);

// Bytes of all that the target can write.
std::uint64_t writable_bytes_of(const MemoryMap& map);

// The data of an entry of a table of traces; nullopt: not readable, or of an impossible size.
struct RawTrace {
  std::uint64_t bytes = 0;
  RemoteAddr stack;
};
std::optional<RawTrace> read_trace(HeapBytes& bytes, const Layout& layout, RemoteAddr data);

}  // namespace memspy::cpython

// What keeps objects alive without being an object: modules, types, frames of running threads,
// thread states, interpreters. Each root has the name that a path begins with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cpython/heap/edge_plans.h"
#include "cpython/heap/edge_reader.h"
#include "cpython/heap/type_table.h"
#include "cpython/interpreter.h"
#include "cpython/runtime_walk.h"
#include "memspy/object_visitor.h"
#include "memspy/symbol_source.h"

namespace memspy::cpython {

struct RawRoot {
  RemoteAddr to;  // plausible, no more: the caller finds out whether an object is there
  RootKind kind = RootKind::kModule;
  NameIndex name;
  // False: a name for what something else owns (a module's by sys.modules, a local by a generator).
  bool owned = true;
};

// The dict of interned strings of an interpreter, whose references do not count: it forgets a
// string when nobody else holds it. Null where the build does not tell where it is (up to 3.11,
// stripped).
RemoteAddr interned_strings(const Interpreter& interpreter, const MemoryReader& memory,
                            const SymbolSource& symbols, RemoteAddr of);

class RootReader {
 public:
  RootReader(const Interpreter& interpreter, const MemoryReader& memory,
             const SymbolSource& symbols, EdgePlans& plans, EdgeReader& edges);

  // Appends all but static types and immortal objects, which the caller knows, in the order of
  // preference. A target that hardly holds together gives fewer roots, never an error.
  void read(std::vector<RawRoot>& out);

 private:
  void read_modules(const InterpreterRef& interpreter, std::vector<RawRoot>& out);
  void read_threads(const InterpreterRef& interpreter, std::vector<RawRoot>& out);
  void read_frames(RemoteAddr state, const std::string& thread, std::vector<RawRoot>& out);
  void read_frame(RemoteAddr frame, const std::string& name, std::vector<RawRoot>& out);
  void read_interpreter(const InterpreterRef& interpreter, std::vector<RawRoot>& out);
  void read_collector(const InterpreterRef& interpreter, std::vector<RawRoot>& out);
  void read_members(RemoteAddr structure, std::string_view table, const std::string& prefix,
                    RootKind kind, std::vector<RawRoot>& out);
  RemoteAddr innermost_frame(RemoteAddr state) const;
  RemoteAddr pointer(RemoteAddr base, Field field) const;
  std::string thread_name(RemoteAddr state) const;
  void add(std::vector<RawRoot>& out, RemoteAddr to, RootKind kind, std::string_view name,
           bool owned = true);

  const Interpreter& interpreter_;
  const Layout& layout_;
  const MemoryReader& memory_;
  const SymbolSource& symbols_;
  EdgePlans& plans_;
  EdgeReader& edges_;
  std::unordered_map<std::uint64_t, std::string> thread_names_;  // by thread_id
  std::unordered_map<RemoteAddr, std::string> frame_names_;      // of the thread being read
  std::vector<RawEdge> raw_;
};

}  // namespace memspy::cpython

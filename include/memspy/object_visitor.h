// What a walk over a target's heap tells, and the port it is told to. Nodes are numbered densely in
// order of address before anything is told, so that a builder appends and never searches.
//
// Order of the calls: on_types, on_objects (all nodes, ascending), on_edges (each node with edges
// once, ascending), on_labels, on_roots. Names are told before the first record that uses them,
// densely from 1.
//
// The own dict of a module, a type or an instance hangs on it by kDict, and its values on the dict
// by kAttribute with the name; other dicts have kKey and kKeyItself.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "memspy/address.h"

namespace memspy {

// A node of the heap graph: an object, or a block of memory that only objects own together (a key
// table shared by several dicts). Dense from 0, ascending by address.
struct NodeIndex {
  std::uint32_t value = 0;
  auto operator<=>(const NodeIndex&) const = default;
};
inline constexpr NodeIndex kNoNode{0xffffffff};

struct TypeIndex {  // into the table of types; dense from 0
  std::uint32_t value = 0;
  auto operator<=>(const TypeIndex&) const = default;
};
struct NameIndex {  // into the table of names; 0 is the empty name
  std::uint32_t value = 0;
  auto operator<=>(const NameIndex&) const = default;
};

struct HeapType {
  RemoteAddr address;
  std::string name;        // "builtins.dict", "app.models.Rec"
  bool heap_type = false;  // made at run time (a class statement), not compiled in
};

// What is known of a node besides its type; a set of bits.
enum NodeFlag : std::uint8_t {
  kNodeGcTracked = 1U << 0,  // on a list of the collector
  kNodeGenerationShift = 1,  // two bits: 0, 1, 2, or 3 = permanent (frozen); of tracked ones
  kNodeImmortal = 1U << 3,   // never freed: static, or its count is pinned (3.12+)
  kNodeStatic = 1U << 4,     // part of a library's or the interpreter's data, not of the heap
  kNodeInPool = 1U << 5,     // its first byte lies in a pymalloc block
  kNodeConservative =
      1U << 6,            // (some of) its edges were found by scanning words that may be pointers
  kNodeNative = 1U << 7,  // referenced by more than the edges that were found: native code holds it
};

struct HeapNode {
  RemoteAddr address;  // of the object itself: behind its collector's head
  TypeIndex type;
  std::uint8_t flags = 0;  // NodeFlag
  // What it costs: the pymalloc blocks or malloc chunks of the object and of what it alone owns
  // (items of a list, a dict's own table, inline values, a bytearray's buffer). A static object
  // costs 0 besides what it has allocated.
  std::uint64_t bytes = 0;
};

// How a reference is written in source; decides how a path is printed.
enum class EdgeKind : std::uint8_t {
  kAttribute,     // .name            value: NameIndex
  kIndex,         // [3]              value: index (list, tuple, deque)
  kKey,           // ['k'], [7]       value: NodeIndex of the key; the target is the dict's value
  kKeyItself,     // <key 'k'>        value: NodeIndex of the key, which is the target
  kMember,        // <member>         of a set; value: 0
  kClosure,       // <closure buf>    value: NameIndex of the free variable; the target is its cell.
                  //                  A shortcut past the closure's tuple: no reference of its own
  kLocal,         // local rows       value: NameIndex; of a frame, a generator, a coroutine
  kInternal,      // <name>           value: NameIndex: "type", "code", "mro", "base", "stack"…
  kDict,          // elided           the instance's, module's or type's own __dict__
  kContents,      // elided           what a cell holds
  kWord,          // <+0x18>          value: offset; found by a conservative scan
};

struct HeapEdge {
  NodeIndex to;
  EdgeKind kind = EdgeKind::kInternal;
  bool weak = false;  // does not keep its target alive (weakref, tp_subclasses)
  std::uint32_t value = 0;
};

// Why something is alive without an object that refers to it. In the order in which a path to them
// is preferred.
enum class RootKind : std::uint8_t {
  kModule,       // an entry of sys.modules: "app"
  kType,         // a static type: "builtins.dict"
  kFrame,        // a local of a running frame: "thread MainThread frame serve:88 local rows"
  kThread,       // a field of a thread state: "thread MainThread exception"
  kInterpreter,  // a field of the interpreter: "interpreter builtins", "interned strings"
  kStatic,       // static or immortal data of the interpreter or of an extension
  kNative,       // referenced by native code: its count exceeds the references found
};

struct HeapRoot {
  NodeIndex to;
  RootKind kind = RootKind::kModule;
  NameIndex name;
};

// What a person calls an object that has a name of its own: a function or a code object
// ("Worker.run"), a module ("app.cache"), a generator or a frame ("serve:88").
struct HeapLabel {
  NodeIndex node;
  NameIndex name;
};

class ObjectVisitor {
 public:
  virtual ~ObjectVisitor() = default;
  virtual void on_name(NameIndex index, std::string_view text) = 0;
  virtual void on_types(std::span<const HeapType> types) = 0;
  // In batches, ascending by node index.
  virtual void on_objects(std::span<const HeapNode> nodes) = 0;
  // All edges of one node, in the order of its fields; weak ones among them.
  virtual void on_edges(NodeIndex from, std::span<const HeapEdge> edges) = 0;
  // Optional: reports are better with them. Ascending by node index.
  virtual void on_labels(std::span<const HeapLabel> /*labels*/) {}
  virtual void on_roots(std::span<const HeapRoot> roots) = 0;
};

}  // namespace memspy

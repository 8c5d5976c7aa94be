#include "cpython/thread_names.h"

#include "cpython/object_reader.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kMaxThreadName = 256;     // code points
constexpr std::size_t kMaxNamedThreads = 8192;  // of all interpreters

using Names = std::vector<std::pair<std::uint64_t, std::string>>;

// sys.modules["threading"]._active: {ident: Thread}
Result<DictItems> active_threads(const MemoryReader& memory, const Layout& layout,
                                 const ObjectReader& objects, RemoteAddr interpreter) {
  MEMSPY_TRY(modules, read_pointer(memory, layout, interpreter, Field::kInterpreterModules));
  MEMSPY_TRY(threading, objects.find_item(modules, "threading"));
  if (!threading) return DictItems{};
  MEMSPY_TRY(globals, read_pointer(memory, layout, threading, Field::kModuleDict));
  MEMSPY_TRY(active, objects.find_item(globals, "_active"));
  if (!active) return DictItems{};
  return objects.read_dict(active);
}

Result<std::pair<std::uint64_t, std::string>> read_entry(const ObjectReader& objects,
                                                         const DictItem& item) {
  MEMSPY_TRY(ident, objects.read_int(item.key));
  MEMSPY_TRY(name, objects.find_attribute(item.value, "_name"));
  MEMSPY_TRY(text, objects.read_str(name, kMaxThreadName));
  return std::pair(static_cast<std::uint64_t>(ident), std::move(text));
}

}  // namespace

Names read_thread_names(const MemoryReader& memory, const Layout& layout, const Anchors& anchors) {
  Names names;
  const ObjectReader objects(layout, memory);
  const auto interpreters = list_interpreters(memory, layout, anchors);
  if (!interpreters) return names;
  std::size_t looked_at = 0;
  for (const InterpreterRef& interpreter : *interpreters) {
    const auto active = active_threads(memory, layout, objects, interpreter.address);
    if (!active) continue;
    for (const DictItem& item : active->items) {
      if (++looked_at > kMaxNamedThreads) return names;
      if (auto entry = read_entry(objects, item)) names.push_back(std::move(*entry));
    }
  }
  return names;
}

}  // namespace memspy::cpython

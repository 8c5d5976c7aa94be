#include "cpython/heap/root_reader.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include <spdlog/fmt/fmt.h>

#include "cpython/frame_walker.h"
#include "cpython/gc_state.h"
#include "cpython/heap/object_members.h"
#include "cpython/object_reader.h"
#include "cpython/stack_reader.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kMaxModuleName = 512;   // characters
constexpr std::uint64_t kMaxOperands = 4096;  // words of a frame's stack
constexpr std::uint8_t kOwnedByGenerator = 1;
constexpr std::uint64_t kWord = 8;

// Members that point to an object without owning it, caches of the interpreter's own machinery, and
// objects that are being destroyed.
constexpr std::array<std::string_view, 8> kNotRoots = {
    "type_version_cache", "executor",         "trace_info", "delete_later",
    "small_ints",         "interned_strings", "cold_",      "current_executor"};

bool is_root(std::string_view member) {
  return std::none_of(kNotRoots.begin(), kNotRoots.end(), [&](std::string_view part) {
    return member.find(part) != std::string_view::npos;
  });
}

}  // namespace

RemoteAddr interned_strings(const Interpreter& interpreter, const MemoryReader& memory,
                            const SymbolSource& symbols, RemoteAddr of) {
  const Layout& layout = interpreter.layout();
  if (layout.has(Field::kInterpreterInterned)) {
    return read_pointer(memory, layout, of, Field::kInterpreterInterned).value_or(RemoteAddr{});
  }
  for (const ModuleImage* module : symbols.modules()) {
    if (!module->find_symbol("PyUnicode_InternInPlace")) continue;
    const auto variable = module->find_symbol("interned");
    if (!variable) continue;
    return RemoteAddr{memspy::read<std::uint64_t>(memory, *variable).value_or(0)};
  }
  return {};
}

RootReader::RootReader(const Interpreter& interpreter, const MemoryReader& memory,
                       const SymbolSource& symbols, EdgePlans& plans, EdgeReader& edges)
    : interpreter_(interpreter),
      layout_(interpreter.layout()),
      memory_(memory),
      symbols_(symbols),
      plans_(plans),
      edges_(edges) {}

void RootReader::add(std::vector<RawRoot>& out, RemoteAddr to, RootKind kind, std::string_view name,
                     bool owned) {
  if (is_plausible(to)) out.push_back({to, kind, plans_.intern(name), owned});
}

RemoteAddr RootReader::pointer(RemoteAddr base, Field field) const {
  return read_pointer(memory_, layout_, base, field).value_or(RemoteAddr{});
}

void RootReader::read(std::vector<RawRoot>& out) {
  const auto interpreters = list_interpreters(memory_, layout_, interpreter_.anchors());
  if (!interpreters.has_value()) return;
  for (auto& [id, name] : interpreter_.thread_names(memory_)) thread_names_[id] = std::move(name);
  // The main interpreter is the last of the list, and its modules are the application's.
  for (auto at = interpreters->rbegin(); at != interpreters->rend(); ++at) read_modules(*at, out);
  for (auto at = interpreters->rbegin(); at != interpreters->rend(); ++at) read_threads(*at, out);
  for (auto at = interpreters->rbegin(); at != interpreters->rend(); ++at) {
    read_interpreter(*at, out);
    read_collector(*at, out);
  }
}

void RootReader::read_modules(const InterpreterRef& interpreter, std::vector<RawRoot>& out) {
  const ObjectReader objects(layout_, memory_);
  const auto items = objects.read_dict(pointer(interpreter.address, Field::kInterpreterModules));
  if (!items.has_value()) return;
  const std::string prefix =
      interpreter.id == 0 ? "" : fmt::format("interpreter {} ", interpreter.id);
  for (const DictItem& item : items->items) {
    const auto name = objects.read_str(item.key, kMaxModuleName);
    if (name.has_value()) add(out, item.value, RootKind::kModule, prefix + *name, false);
  }
}

std::string RootReader::thread_name(RemoteAddr state) const {
  const auto id = read_field(memory_, layout_, state, Field::kThreadThreadId).value_or(0);
  const auto found = thread_names_.find(id);
  return found != thread_names_.end() ? found->second : fmt::format("{:#x}", id);
}

void RootReader::read_threads(const InterpreterRef& interpreter, std::vector<RawRoot>& out) {
  for (const Block& state : list_threads(memory_, layout_, interpreter.address)) {
    std::string name = "thread " + thread_name(state.address());
    if (interpreter.id != 0) name = fmt::format("interpreter {} {}", interpreter.id, name);
    read_frames(state.address(), name, out);
    read_members(state.address(), "PyThreadState", name, RootKind::kThread, out);
  }
}

RemoteAddr RootReader::innermost_frame(RemoteAddr state) const {
  switch (layout_.strategies.frame_chain) {
    case FrameChain::kFrameObjects:
      return pointer(state, Field::kThreadFrame);
    case FrameChain::kCFrame: {
      const RemoteAddr cframe = pointer(state, Field::kThreadCFrame);
      return cframe ? pointer(cframe, Field::kCFrameCurrentFrame) : RemoteAddr{};
    }
    case FrameChain::kCurrentFrame:
      return pointer(state, Field::kThreadCurrentFrame);
  }
  return {};
}

// All frames of the chain, those that are not shown to people as well: they hold references, too.
void RootReader::read_frames(RemoteAddr state, const std::string& thread,
                             std::vector<RawRoot>& out) {
  frame_names_.clear();
  StackReader stacks(interpreter_, memory_);
  RawStack stack;
  if (stacks.capture(state, stack).has_value()) {
    for (const RawFrame& raw : stack.frames) {
      const Frame frame = stacks.resolve(raw);
      frame_names_[raw.frame] = fmt::format("{} frame {}:{}", thread, frame.function, frame.line);
    }
  }
  std::unordered_set<RemoteAddr> seen;
  RemoteAddr frame = innermost_frame(state);
  while (is_plausible(frame) && seen.size() < kMaxFrameDepth && seen.insert(frame).second) {
    const auto name = frame_names_.find(frame);
    read_frame(frame,
               name != frame_names_.end() ? name->second : thread + " frame of the interpreter",
               out);
    frame = pointer(frame, Field::kFramePrevious);
  }
}

void RootReader::read_frame(RemoteAddr frame, const std::string& name, std::vector<RawRoot>& out) {
  const bool is_object = !layout_.has(Field::kFrameObjectFrame);  // up to 3.10
  const bool of_generator =
      !is_object &&
      read_field(memory_, layout_, frame, Field::kFrameOwner).value_or(0) == kOwnedByGenerator;
  // Its thread holds the frame object; the generator's frame is part of the generator.
  if (is_object) add(out, frame, RootKind::kFrame, name);
  const bool owned = !is_object && !of_generator;
  raw_.clear();
  edges_.read_frame(frame, raw_);
  for (const RawEdge& edge : raw_) {
    const NameIndex index{static_cast<std::uint32_t>(edge.value)};
    const char* kind = edge.kind == EdgeKind::kLocal ? "local " : "";
    add(out, edge.to, RootKind::kFrame, fmt::format("{} {}{}", name, kind, plans_.name_of(index)),
        owned);
  }
  raw_.clear();
  edges_.read_operands(frame, kMaxOperands, raw_);
  for (const RawEdge& edge : raw_) add(out, edge.to, RootKind::kFrame, name + " stack", owned);
}

void RootReader::read_members(RemoteAddr structure, std::string_view table,
                              const std::string& prefix, RootKind kind, std::vector<RawRoot>& out) {
  for (const ObjectMember& member : object_members(layout_.minor, table)) {
    if (!is_root(member.name)) continue;
    // "exc_state.exc_value" is called "exc_value".
    const std::string_view name = member.name.substr(member.name.rfind('.') + 1);
    for (std::uint32_t i = 0; i < member.count; ++i) {
      const auto word = memspy::read<std::uint64_t>(memory_, structure + member.offset + i * kWord);
      if (word.has_value()) add(out, RemoteAddr{*word}, kind, fmt::format("{} {}", prefix, name));
    }
  }
}

void RootReader::read_interpreter(const InterpreterRef& interpreter, std::vector<RawRoot>& out) {
  const std::string prefix =
      interpreter.id == 0 ? "interpreter" : fmt::format("interpreter {}", interpreter.id);
  read_members(interpreter.address, "PyInterpreterState", prefix, RootKind::kInterpreter, out);
  add(out, interned_strings(interpreter_, memory_, symbols_, interpreter.address),
      RootKind::kInterpreter, "interned strings");
}

// The collector's own lists; from 3.9 on they are the interpreter's members.
void RootReader::read_collector(const InterpreterRef& interpreter, std::vector<RawRoot>& out) {
  if (layout_.strategies.gc_place == GcPlace::kInterpreter) return;
  const RemoteAddr base = gc_base(layout_, interpreter_.anchors(), interpreter.address);
  if (!base || interpreter.id != 0) return;
  if (layout_.has(Field::kGcGarbage)) {
    add(out, pointer(base, Field::kGcGarbage), RootKind::kInterpreter, "interpreter garbage");
  }
  if (layout_.has(Field::kGcCallbacks)) {
    add(out, pointer(base, Field::kGcCallbacks), RootKind::kInterpreter, "interpreter callbacks");
  }
}

}  // namespace memspy::cpython

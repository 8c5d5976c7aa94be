#include "support/py_image_builder.h"

#include <algorithm>
#include <stdexcept>

#include "cpython/strategies.h"

namespace memspy::testing {
namespace {

using cpython::Field;
using cpython::Struct;

constexpr RemoteAddr kHeap{0x7f0000000000}, kFrameStack{0x7f1000000000};
constexpr std::size_t kHeapSize = std::size_t{4} << 20, kFrameStackSize = std::size_t{1} << 20;
constexpr std::size_t kUnit = 2;           // bytes of a code unit
constexpr std::uint64_t kStackRefTag = 1;  // a deferred reference (3.14+)

template <typename T>
std::span<const std::byte> bytes_of(const T& container) {
  return std::as_bytes(std::span(container.data(), container.size()));
}

}  // namespace

PyImageBuilder::PyImageBuilder(cpython::Layout layout)
    : layout_(std::move(layout)), heap_next_(kHeap), stack_next_(kFrameStack) {
  memory_.add_segment(kHeap, kHeapSize);
  memory_.add_segment(kFrameStack, kFrameStackSize);
  if (layout_.has(Field::kRuntimeInterpretersHead)) {
    runtime_ = allocate(layout_.size(Struct::kRuntime));
    interpreters_head_ = runtime_ + layout_.offset(Field::kRuntimeInterpretersHead);
  } else {
    interpreters_head_ = allocate(kWord);
  }
  none_ = new_object("NoneType", layout_.size(Struct::kObject));
}

RemoteAddr PyImageBuilder::allocate(std::size_t size) {
  const RemoteAddr at = heap_next_;
  heap_next_ = at + (size + 31) / 16 * 16;  // a gap, so that reads past the end are not lucky
  if (heap_next_.value > kHeap.value + kHeapSize)
    throw std::logic_error("PyImageBuilder: heap full");
  return at;
}

void PyImageBuilder::put(RemoteAddr base, Field field, std::uint64_t value) {
  const auto slot = layout_.find(field);
  if (!slot) return;
  memory_.write_bytes(base + slot->offset, std::as_bytes(std::span(&value, 1)).first(slot->width));
}

std::uint64_t PyImageBuilder::word(RemoteAddr at) const {
  std::uint64_t value = 0;
  memory_.read_some(at, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

std::uint64_t PyImageBuilder::get(RemoteAddr base, Field field) const {
  const auto slot = layout_.find(field);
  std::uint64_t value = 0;
  if (slot) {
    memory_.read_some(base + slot->offset,
                      std::as_writable_bytes(std::span(&value, 1)).first(slot->width));
  }
  return value;
}

RemoteAddr PyImageBuilder::add_interpreter(std::int64_t id) {
  const RemoteAddr interpreter = allocate(layout_.size(Struct::kInterpreter));
  put(interpreter, Field::kInterpreterId, static_cast<std::uint64_t>(id));
  put(interpreter, Field::kInterpreterNext, word(interpreters_head_));
  memory_.write(interpreters_head_, interpreter.value);
  if (id == 0 && runtime_) {
    put(runtime_, Field::kRuntimeInterpretersMain, interpreter.value);
    put(runtime_, Field::kRuntimeAutoInterpreterState, interpreter.value);
    put(runtime_, Field::kRuntimeInitialized, 1);
  }
  return interpreter;
}

RemoteAddr PyImageBuilder::add_thread(RemoteAddr interpreter, std::uint64_t thread_id) {
  const RemoteAddr thread = allocate(layout_.size(Struct::kThread));
  const RemoteAddr next{get(interpreter, Field::kInterpreterThreadsHead)};
  put(thread, Field::kThreadInterpreter, interpreter.value);
  put(thread, Field::kThreadThreadId, thread_id);
  put(thread, Field::kThreadId, next_thread_id_++);
  put(thread, Field::kThreadNext, next.value);
  if (next) put(next, Field::kThreadPrev, thread.value);
  put(interpreter, Field::kInterpreterThreadsHead, thread.value);
  if (layout_.strategies.frame_chain == cpython::FrameChain::kCFrame) {
    put(thread, Field::kThreadCFrame, allocate(layout_.size(Struct::kCFrame)).value);
  }
  return thread;
}

void PyImageBuilder::remove_thread(RemoteAddr thread) {
  const RemoteAddr previous{get(thread, Field::kThreadPrev)}, next{get(thread, Field::kThreadNext)};
  if (next) put(next, Field::kThreadPrev, previous.value);
  if (previous) {
    put(previous, Field::kThreadNext, next.value);
  } else {
    put({get(thread, Field::kThreadInterpreter)}, Field::kInterpreterThreadsHead, next.value);
  }
}

void PyImageBuilder::set_collecting(RemoteAddr interpreter, bool collecting) {
  if (layout_.strategies.gc_place == cpython::GcPlace::kRuntime) {
    put(runtime_ + layout_.offset(Field::kRuntimeGc), Field::kGcCollecting, collecting ? 1 : 0);
  } else if (layout_.strategies.gc_place == cpython::GcPlace::kInterpreter) {
    put(interpreter + layout_.offset(Field::kInterpreterGc), Field::kGcCollecting,
        collecting ? 1 : 0);
  }
}

RemoteAddr PyImageBuilder::frame_anchor(RemoteAddr thread) const {
  switch (layout_.strategies.frame_chain) {
    case cpython::FrameChain::kFrameObjects:
      return thread + layout_.offset(Field::kThreadFrame);
    case cpython::FrameChain::kCFrame:
      return RemoteAddr{get(thread, Field::kThreadCFrame)} +
             layout_.offset(Field::kCFrameCurrentFrame);
    case cpython::FrameChain::kCurrentFrame:
      break;
  }
  return thread + layout_.offset(Field::kThreadCurrentFrame);
}

RemoteAddr PyImageBuilder::push_frame(RemoteAddr thread, const FrameSpec& spec) {
  constexpr std::size_t kStackSlots = 4;
  const bool stacked =
      layout_.strategies.frame_chain != cpython::FrameChain::kFrameObjects && !spec.on_heap;
  const std::size_t size =
      layout_.offset(Field::kFrameLocalsPlus) + kWord * (spec.values.size() + kStackSlots);
  RemoteAddr frame;
  if (stacked) {
    frame = stack_next_;
    stack_next_ = stack_next_ + size;
  } else {
    frame = allocate(std::max<std::size_t>(size, layout_.size(Struct::kFrame)));
  }
  const bool tagged = layout_.strategies.references == cpython::ReferenceKind::kStackRef;
  const std::uint64_t tag = tagged && spec.code ? kStackRefTag : 0;
  const RemoteAddr anchor = frame_anchor(thread);
  put(frame, Field::kFramePrevious, word(anchor));
  put(frame, Field::kFrameCode, spec.code.value | tag);
  put(frame, Field::kFrameOwner, spec.owner);
  if (spec.code) set_instruction(frame, spec.instruction);
  for (std::size_t i = 0; i < spec.values.size(); ++i) {
    const std::uint64_t value = spec.values[i].value;
    memory_.write(frame + layout_.offset(Field::kFrameLocalsPlus) + kWord * i,
                  value == 0 ? 0 : value | tag);
  }
  memory_.write(anchor, frame.value);
  return frame;
}

void PyImageBuilder::pop_frame(RemoteAddr thread) {
  const RemoteAddr anchor = frame_anchor(thread);
  const RemoteAddr frame{word(anchor)};
  memory_.write(anchor, get(frame, Field::kFramePrevious));
  if (frame >= kFrameStack) stack_next_ = frame;
}

void PyImageBuilder::set_instruction(RemoteAddr frame, std::int32_t unit) {
  const std::uint64_t code = get(frame, Field::kFrameCode) & ~std::uint64_t{3};
  const auto bytes =
      static_cast<std::uint64_t>(static_cast<std::int64_t>(unit) * std::int64_t{kUnit});
  switch (layout_.strategies.instruction) {
    case cpython::InstructionKind::kByteOffset:
      return put(frame, Field::kFrameInstruction, unit < 0 ? ~std::uint64_t{0} : bytes);
    case cpython::InstructionKind::kUnitOffset:
      return put(frame, Field::kFrameInstruction, static_cast<std::uint64_t>(unit));
    case cpython::InstructionKind::kPreviousPointer:
    case cpython::InstructionKind::kInstructionPointer:
      break;
  }
  put(frame, Field::kFrameInstruction, code + layout_.offset(Field::kCodeAdaptive) + bytes);
}

// One line per unit, in each version's encoding.
std::string PyImageBuilder::line_table(std::int32_t instructions) const {
  std::string table;
  for (std::int32_t i = 0; i < instructions; ++i) {
    switch (layout_.strategies.line_table) {
      case cpython::LineTableKind::kLnotab:
        if (i != 0) table += {'\x02', '\x01'};
        break;
      case cpython::LineTableKind::kLineTable:
        table += {'\x02', static_cast<char>(i == 0 ? 0 : 1)};
        break;
      case cpython::LineTableKind::kLocationTable:
        table += {static_cast<char>(0x80 | 13 << 3), static_cast<char>(i == 0 ? 0 : 2)};
        break;
    }
  }
  return table;
}

RemoteAddr PyImageBuilder::add_names(const std::vector<std::string>& names) {
  std::vector<RemoteAddr> items;
  for (const std::string& name : names) items.push_back(add_str(std::string_view(name)));
  return add_tuple(items);
}

void PyImageBuilder::put_variable_names(RemoteAddr code, const CodeSpec& spec) {
  constexpr char kLocal = 0x20, kCell = 0x40, kFree = static_cast<char>(0x80);
  put(code, Field::kCodeArgCount, static_cast<std::uint64_t>(spec.args));
  put(code, Field::kCodeNLocals, spec.locals.size());
  std::vector<std::string> all = spec.locals;
  std::string kinds(spec.locals.size(), kLocal);
  all.insert(all.end(), spec.cells.begin(), spec.cells.end());
  kinds.append(spec.cells.size(), kCell);
  all.insert(all.end(), spec.frees.begin(), spec.frees.end());
  kinds.append(spec.frees.size(), kFree);
  put(code, Field::kCodeNLocalsPlus, all.size());
  if (layout_.has(Field::kCodeLocalsPlusNames)) {
    put(code, Field::kCodeLocalsPlusNames, add_names(all).value);
    put(code, Field::kCodeLocalsPlusKinds, add_bytes(kinds).value);
    return;
  }
  put(code, Field::kCodeVarNames, add_names(spec.locals).value);
  put(code, Field::kCodeCellVars, add_names(spec.cells).value);
  put(code, Field::kCodeFreeVars, add_names(spec.frees).value);
}

void PyImageBuilder::fill_code(RemoteAddr code, const CodeSpec& spec) {
  put(code, Field::kCodeFilename, add_str(std::string_view(spec.file)).value);
  put(code, Field::kCodeName, add_str(std::string_view(spec.name)).value);
  put(code, Field::kCodeQualname,
      add_str(std::string_view(spec.qualname.empty() ? spec.name : spec.qualname)).value);
  put(code, Field::kCodeFirstLine, static_cast<std::uint32_t>(spec.first_line));
  put(code, Field::kCodeLineTable, add_bytes(line_table(spec.instructions)).value);
  put(code, Field::kCodeFirstTraceable, static_cast<std::uint32_t>(spec.first_traceable));
  put_variable_names(code, spec);
  const auto units = static_cast<std::size_t>(spec.instructions);
  if (layout_.strategies.bytecode == cpython::BytecodeKind::kBytesObject) {
    put(code, Field::kCodeBytecode, add_bytes(std::string(kUnit * units, '\t')).value);
  } else {
    put(code, Field::kVarObjectSize, units);
  }
}

RemoteAddr PyImageBuilder::add_code(const CodeSpec& spec) {
  const std::size_t bytecode = kUnit * static_cast<std::size_t>(spec.instructions);
  const RemoteAddr code = new_object("code", layout_.size(Struct::kCode) + bytecode);
  fill_code(code, spec);
  return code;
}

void PyImageBuilder::replace_code(RemoteAddr code, const CodeSpec& spec) { fill_code(code, spec); }

RemoteAddr PyImageBuilder::type(std::string_view name) const {
  for (const auto& [known, address] : types_) {
    if (known == name) return address;
  }
  return {};
}

RemoteAddr PyImageBuilder::add_type(std::string_view name, std::uint64_t flags) {
  const RemoteAddr made = allocate(layout_.size(Struct::kHeapType));
  types_.emplace_back(name, made);
  const RemoteAddr text = allocate(name.size() + 1);
  memory_.write_bytes(text, bytes_of(name));
  RemoteAddr metatype = type("type");
  if (!metatype) metatype = name == "type" ? made : add_type("type", cpython::kTypeTypeSubclass);
  put(made, Field::kObjectRefcount, 1);
  put(made, Field::kObjectType, metatype.value);
  put(made, Field::kTypeName, text.value);
  put(made, Field::kTypeFlags, flags | cpython::kTypeReady);
  put(made, Field::kTypeBasicSize, layout_.size(Struct::kObject));
  return made;
}

RemoteAddr PyImageBuilder::add_object(RemoteAddr type, std::size_t size) {
  const RemoteAddr object = allocate(size);
  put(object, Field::kObjectRefcount, 1);
  put(object, Field::kObjectType, type.value);
  return object;
}

RemoteAddr PyImageBuilder::new_object(std::string_view type_name, std::size_t size,
                                      std::uint64_t flags) {
  RemoteAddr found = type(type_name);
  if (!found) found = add_type(type_name, flags);
  return add_object(found, size);
}

}  // namespace memspy::testing

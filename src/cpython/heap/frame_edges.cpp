// Edges of functions, code, frames and generators: what has variables with names.
#include <algorithm>

#include "cpython/heap/edge_reader.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kWord = 8;
constexpr std::uint64_t kMaxVariables = 4096;
constexpr std::uint64_t kMaxStack = 65536;  // words of one frame's stack
constexpr std::size_t kMaxNameBytes = 256;
constexpr std::uint8_t kOwnedByFrameObject = 2;
constexpr std::int8_t kFrameCleared = 4;  // gi_frame_state: nothing is left of the frame

}  // namespace

void EdgeReader::append_variables(RemoteAddr tuple, Variables& out) {
  if (!is_plausible(tuple)) return;
  const std::uint64_t count = others_.word(tuple + layout_.offset(Field::kVarObjectSize));
  if (count == 0 || count > kMaxVariables || out.size() + count > kMaxVariables) return;
  // A copy: names are read with the same reader.
  const Bytes seen = bodies_.bytes(tuple + layout_.offset(Field::kTupleItems), count * kWord);
  const std::vector<std::byte> items(seen.begin(), seen.end());
  if (items.empty()) return;
  pay(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const RemoteAddr name{word_at(items, i * kWord)};
    const auto text = strings_.read_str(name, kMaxNameBytes);
    out.push_back(plans_.intern(text.has_value() ? *text : "?"));
  }
}

const EdgeReader::Variables& EdgeReader::variables_of(RemoteAddr code) {
  const auto [found, added] = variables_.try_emplace(code);
  if (!added || !is_plausible(code)) return found->second;
  const Field together[] = {Field::kCodeLocalsPlusNames};
  const Field apart[] = {Field::kCodeVarNames, Field::kCodeCellVars, Field::kCodeFreeVars};
  const bool one_list = layout_.has(Field::kCodeLocalsPlusNames);
  for (const Field names :
       one_list ? std::span<const Field>(together) : std::span<const Field>(apart)) {
    append_variables(RemoteAddr{others_.word(code + layout_.offset(names))}, found->second);
  }
  return found->second;
}

// The closure is a tuple of cells in the order of the code's free variables, which are its last.
void EdgeReader::read_closure(Bytes head, Edges& out) {
  const RemoteAddr closure{field(head, Field::kFunctionClosure)};
  const RemoteAddr code{field(head, Field::kFunctionCode)};
  if (!is_plausible(closure) || !is_plausible(code)) return;
  const std::uint64_t count = others_.word(closure + layout_.offset(Field::kVarObjectSize));
  const Variables& names = variables_of(code);
  if (count > names.size()) return;
  const Bytes cells = bodies_.bytes(closure + layout_.offset(Field::kTupleItems), count * kWord);
  pay(cells.empty() ? 0 : count);
  for (std::uint64_t i = 0; i < count && !cells.empty(); ++i) {
    add(out, word_at(cells, i * kWord), EdgeKind::kClosure, names[names.size() - count + i].value);
  }
}

// What a code object caches outside of itself (3.12+).
void EdgeReader::read_code(RemoteAddr object, Edges& out) {
  if (!layout_.has(Field::kCodeCached)) return;
  const RemoteAddr cached{others_.word(object + layout_.offset(Field::kCodeCached))};
  if (!is_plausible(cached)) return;
  for (const Field part : {Field::kCoCachedCode, Field::kCoCachedVarNames, Field::kCoCachedCellVars,
                           Field::kCoCachedFreeVars}) {
    if (!layout_.has(part)) continue;
    add(out, others_.word(cached + layout_.offset(part)), EdgeKind::kInternal, names_.cached.value);
  }
}

// Slots of a frame: variables by name, then the stack of values.
void EdgeReader::read_slots(RemoteAddr first, std::uint64_t count, const Variables& names,
                            Edges& out) {
  count = affordable(std::min(count, kMaxVariables + kMaxStack));
  const Bytes slots = bodies_.bytes(first, count * kWord);
  pay(slots.empty() ? 0 : count);
  for (std::uint64_t i = 0; i < count && !slots.empty(); ++i) {
    const std::uint64_t to = word_at(slots, i * kWord) & reference_mask_;
    if (i < names.size()) {
      add(out, to, EdgeKind::kLocal, names[i].value);
    } else {
      add(out, to, EdgeKind::kInternal, names_.stack.value);
    }
  }
}

void EdgeReader::read_frame_object(RemoteAddr object, Edges& out) {
  if (!layout_.has(Field::kFrameObjectFrame)) return read_old_frame(object, out);
  const RemoteAddr frame{others_.word(object + layout_.offset(Field::kFrameObjectFrame))};
  if (!is_plausible(frame)) return;
  // Frames on a thread's stack and those of generators tell for themselves.
  if (others_.load(frame + layout_.offset(Field::kFrameOwner), 1) != kOwnedByFrameObject) return;
  read_frame(frame, out);
}

void EdgeReader::read_frame(RemoteAddr frame, std::vector<RawEdge>& out) {
  if (!layout_.has(Field::kFrameObjectFrame)) return read_old_frame(frame, out);
  const Bytes bytes = heads_.bytes(frame, layout_.offset(Field::kFrameLocalsPlus));
  if (bytes.empty()) return;
  const RemoteAddr code{field(bytes, Field::kFrameCode) & reference_mask_};
  const std::uint64_t top = field(bytes, Field::kFrameStackTop);
  add(out, code.value, EdgeKind::kInternal, names_.code.value);
  add(out, field(bytes, Field::kFrameFunction) & reference_mask_, EdgeKind::kInternal,
      names_.function.value);
  add(out, field(bytes, Field::kFrameLocals), EdgeKind::kInternal, names_.locals.value);
  add(out, field(bytes, Field::kFrameFrameObject), EdgeKind::kInternal, names_.frame.value);
  if (!is_plausible(code)) return;
  const Variables& names = variables_of(code);
  const RemoteAddr first = frame + layout_.offset(Field::kFrameLocalsPlus);
  const std::uint64_t depth = stack_depth(first, top);
  read_slots(first, depth == 0 ? names.size() : depth, names, out);
}

void EdgeReader::read_operands(RemoteAddr frame, std::uint64_t limit, std::vector<RawEdge>& out) {
  const Bytes bytes = heads_.bytes(frame, layout_.offset(Field::kFrameLocalsPlus));
  if (bytes.empty()) return;
  const RemoteAddr code{field(bytes, Field::kFrameCode) & reference_mask_};
  const RemoteAddr stack{field(bytes, Field::kFrameValueStack)};
  const std::uint64_t top = field(bytes, Field::kFrameStackTop);
  if (!is_plausible(code)) return;
  RemoteAddr first = frame + layout_.offset(Field::kFrameLocalsPlus);
  if (layout_.has(Field::kFrameObjectFrame)) {
    if (stack_depth(first, top) != 0) return;
    first = first + variables_of(code).size() * kWord;
  } else {
    if (top != 0 || !is_plausible(stack)) return;
    first = stack;
  }
  const Slot size = layout_.slots[static_cast<std::size_t>(Field::kCodeStackSize)];
  const std::uint64_t count =
      affordable(std::min(limit, others_.load(code + size.offset, size.width)));
  const Bytes words = bodies_.bytes(first, count * kWord);
  pay(words.empty() ? 0 : count);
  for (std::uint64_t i = 0; i < count && !words.empty(); ++i) {
    add(out, word_at(words, i * kWord) & reference_mask_, EdgeKind::kWord, i);
  }
}

// Slots in use, variables included; 0 where the interpreter keeps the number in a register now.
std::uint64_t EdgeReader::stack_depth(RemoteAddr first, std::uint64_t top) const {
  const Slot slot = layout_.slots[static_cast<std::size_t>(Field::kFrameStackTop)];
  if (slot.width == kWord) {  // 3.14+: a pointer
    const std::uint64_t bytes = top - first.value;
    return top != 0 && bytes % kWord == 0 && bytes / kWord <= kMaxStack ? bytes / kWord : 0;
  }
  const std::int64_t count = sign_extend(top, slot.width);
  return count > 0 && static_cast<std::uint64_t>(count) <= kMaxStack
             ? static_cast<std::uint64_t>(count)
             : 0;
}

// Up to 3.10 every frame is an object; its fields are rules of the type.
void EdgeReader::read_old_frame(RemoteAddr frame, Edges& out) {
  const Bytes bytes = heads_.bytes(frame, layout_.offset(Field::kFrameLocalsPlus));
  if (bytes.empty()) return;
  const RemoteAddr code{field(bytes, Field::kFrameCode)};
  const std::uint64_t top = field(bytes, Field::kFrameStackTop);
  const RemoteAddr stack{field(bytes, Field::kFrameValueStack)};
  const std::pair<Field, NameIndex> parts[] = {{Field::kFrameCode, names_.code},
                                               {Field::kFrameGlobals, names_.globals},
                                               {Field::kFrameBuiltins, names_.builtins},
                                               {Field::kFrameLocals, names_.locals}};
  for (const auto& [part, name] : parts) {
    add(out, field(bytes, part), EdgeKind::kAttribute, name.value);
  }
  if (!is_plausible(code)) return;
  const Variables& names = variables_of(code);
  read_slots(frame + layout_.offset(Field::kFrameLocalsPlus), names.size(), names, out);
  if (!is_plausible(stack)) return;
  const Slot slot = layout_.slots[static_cast<std::size_t>(Field::kFrameStackTop)];
  // A pointer, null while the frame runs; in 3.10 a depth.
  std::uint64_t depth = top;
  if (slot.width == kWord) depth = top < stack.value ? 0 : (top - stack.value) / kWord;
  if (depth <= kMaxStack) read_slots(stack, depth, Variables{}, out);
}

void EdgeReader::read_generator(RemoteAddr object, Edges& out) {
  if (!layout_.has(Field::kGeneratorOwnFrame)) return;  // up to 3.10 it is an object of its own
  const auto state = static_cast<std::int8_t>(
      others_.load(object + layout_.offset(Field::kGeneratorFrameState), 1));
  const RemoteAddr frame = object + layout_.offset(Field::kGeneratorOwnFrame);
  if (state < kFrameCleared) return read_frame(frame, out);
  // 3.13+ keeps the code alive.
  if (layout_.strategies.instruction == InstructionKind::kInstructionPointer) {
    add(out, others_.word(frame + layout_.offset(Field::kFrameCode)) & reference_mask_,
        EdgeKind::kInternal, names_.code.value);
  }
}

}  // namespace memspy::cpython

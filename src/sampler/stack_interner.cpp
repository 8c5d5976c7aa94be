#include "sampler/stack_interner.h"

#include "sampler/native_stacks.h"

namespace memspy::sampler {

FrameId StackInterner::define(const Frame& frame) {
  const std::uint32_t before = table_.frame_count();
  const FrameId id = table_.intern(frame);
  if (table_.frame_count() != before) queue_.push(FrameDefined{id, frame});
  return id;
}

StackId StackInterner::extend(StackId parent, FrameId frame) {
  const std::uint32_t before = table_.stack_count();
  const StackId id = table_.intern(parent, frame);
  if (table_.stack_count() != before) queue_.push(StackDefined{id, {parent, frame}});
  return id;
}

FrameId StackInterner::frame(ProcessIndex process, const cpython::StackReader& reader,
                             const cpython::RawFrame& raw) {
  const auto [it, fresh] = frames_.try_emplace(RawKey{process.value, raw.code, raw.instruction});
  if (fresh) it->second = define(reader.resolve(raw));
  return it->second;
}

StackId StackInterner::python_prefix(ProcessIndex process, const cpython::StackReader& reader,
                                     std::span<const cpython::RawFrame> innermost_first,
                                     bool without_line) {
  StackId stack = kNoStack;
  for (auto it = innermost_first.rbegin(); it != innermost_first.rend(); ++it) {
    FrameId id = frame(process, reader, *it);
    if (without_line && std::next(it) == innermost_first.rend()) {
      Frame function = table_.frame(id);
      function.line = 0;
      id = define(function);
    }
    stack = extend(stack, id);
  }
  return stack;
}

StackId StackInterner::python_stack(ProcessIndex process, const cpython::StackReader& reader,
                                    const cpython::RawStack& raw, bool callers_known) {
  if (raw.frames.empty()) return raw.collecting ? collecting(kNoStack) : kNoStack;
  return with_innermost(callers(process, reader, raw, callers_known), process, reader, raw);
}

StackId StackInterner::callers(ProcessIndex process, const cpython::StackReader& reader,
                               const cpython::RawStack& raw, bool callers_known) {
  const StackId stack = python_prefix(process, reader, std::span(raw.frames).subspan(1));
  if (callers_known) return stack;
  return extend(stack, define(Frame{std::string(kCallersUnknown), "", 0, FrameKind::kMarker}));
}

StackId StackInterner::with_innermost(StackId callers, ProcessIndex process,
                                      const cpython::StackReader& reader,
                                      const cpython::RawStack& raw,
                                      std::span<const unwind::NativeFrame> called_innermost_first) {
  StackId stack = extend(callers, frame(process, reader, raw.frames.front()));
  for (auto it = called_innermost_first.rbegin(); it != called_innermost_first.rend(); ++it)
    stack = within(stack, *it);
  return raw.collecting ? collecting(stack) : stack;
}

StackId StackInterner::collecting(StackId stack) {
  return extend(stack, define(Frame{"[gc]", "", 0, FrameKind::kMarker}));
}

StackId StackInterner::within(StackId outer, const unwind::NativeFrame& frame) {
  return extend(outer, native_frame(frame));
}

FrameId StackInterner::native_frame(const unwind::NativeFrame& native) {
  if (native.place.module == nullptr) return define(NativeStacks::frame_of(native));
  const auto [it, fresh] =
      native_frames_.try_emplace(CodeKey{native.place.module, native.place.address});
  if (fresh) it->second = define(NativeStacks::frame_of(native));
  return it->second;
}

StackId StackInterner::merged_stack(ProcessIndex process, const cpython::StackReader* reader,
                                    const cpython::RawStack& raw, const unwind::NativeStack& native,
                                    std::span<const MergedFrame> innermost_first,
                                    StackId outermost) {
  StackId stack = outermost;
  for (auto it = innermost_first.rbegin(); it != innermost_first.rend(); ++it) {
    stack = extend(stack, it->python ? frame(process, *reader, raw.frames[it->index])
                                     : native_frame(native.frames[it->index]));
  }
  return raw.collecting ? collecting(stack) : stack;
}

StackId StackInterner::marker(std::string_view name) {
  return extend(kNoStack, define(Frame{std::string(name), "", 0, FrameKind::kMarker}));
}

}  // namespace memspy::sampler

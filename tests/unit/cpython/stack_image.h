// An interpreter with one thread in a fake memory, and a stack reader on it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpython/layouts.h"
#include "cpython/stack_reader.h"
#include "support/py_image_builder.h"

namespace memspy::cpython {

class StackImage {
 public:
  static constexpr std::uint64_t kThreadId = 0x7f5500001000;
  static constexpr std::uint8_t kHidden = 3, kGenerator = 1;

  explicit StackImage(int minor) : builder(layout_for(minor).value()) {
    interpreter = builder.add_interpreter(0);
    thread = add_thread(interpreter, kThreadId);
    Anchors anchors;
    anchors.runtime = builder.runtime();
    anchors.interpreters_head = builder.interpreters_head();
    Version version;
    version.minor = minor;
    python.emplace(version, std::make_shared<const Layout>(builder.layout()), anchors);
    reader.emplace(*python, builder.memory());
  }

  const Layout& layout() const { return builder.layout(); }
  bool hides_frames() const { return layout().strategies.first_hidden_owner != 0xff; }

  // With the interpreter's own frame at the root, where this version has one.
  RemoteAddr add_thread(RemoteAddr of, std::uint64_t id) {
    const RemoteAddr state = builder.add_thread(of, id);
    if (hides_frames()) push_hidden(state);
    return state;
  }
  void push_hidden(RemoteAddr state) {
    testing::FrameSpec entry;
    entry.owner = kHidden;
    entry.on_heap = true;
    builder.push_frame(state, entry);
  }
  RemoteAddr code(const std::string& name) {
    testing::CodeSpec spec;
    spec.name = name;
    return builder.add_code(spec);
  }
  RemoteAddr push(RemoteAddr code, std::int32_t instruction = 4) {
    testing::FrameSpec spec;
    spec.code = code;
    spec.instruction = instruction;
    return builder.push_frame(thread, spec);
  }
  RemoteAddr push(const std::string& name) { return push(code(name)); }

  Result<Unit> capture() { return reader->capture(thread, raw); }
  // "f:14 main:11", innermost first; the error's text when there is one.
  std::string stack() {
    const auto result = capture();
    if (!result.has_value()) return describe(result.error());
    std::vector<Frame> frames;
    reader->resolve(raw, frames);
    std::string text;
    for (const Frame& frame : frames) {
      text += (text.empty() ? "" : " ") + frame.function + ":" + std::to_string(frame.line);
    }
    return text;
  }
  std::uint64_t reads_of_capture() {
    const std::uint64_t before = reader->stats().reads;
    (void)capture();
    return reader->stats().reads - before;
  }

  testing::PyImageBuilder builder;
  RemoteAddr interpreter, thread;
  std::optional<Interpreter> python;
  std::optional<StackReader> reader;
  RawStack raw;
};

}  // namespace memspy::cpython

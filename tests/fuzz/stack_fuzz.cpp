// Damages an interpreter's image in any version and reads its stacks and locals: never a crash, a
// hang or a large allocation; and once the damage is undone, stacks are read again.
// Input: the version, then edits of four bytes each: where (u16), how, with what.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "by_version.h"
#include "cpython/layouts.h"
#include "cpython/recorded_stack.h"
#include "cpython/stack_reader.h"
#include "support/py_image_builder.h"

namespace {

using memspy::RemoteAddr;
using memspy::testing::CodeSpec;
using memspy::testing::FrameSpec;
using memspy::testing::PyImageBuilder;
namespace cpython = memspy::cpython;

constexpr std::uint64_t kThreadId = 0x7f5500001000;
constexpr std::size_t kReprCap = 300;

class Image {
 public:
  explicit Image(int minor) : py_(cpython::layout_for(minor).value()) {
    const RemoteAddr interpreter = py_.add_interpreter(0);
    begin_ =
        py_.allocate(1);  // what comes before is the runtime and the interpreter: mostly unused
    thread_ = py_.add_thread(interpreter, kThreadId);
    py_.add_thread(interpreter, kThreadId + 1);
    push_frames();
    end_ = py_.allocate(1);
    cpython::Anchors anchors;
    anchors.runtime = py_.runtime();
    anchors.interpreters_head = py_.interpreters_head();
    cpython::Version version;
    version.minor = minor;
    auto layout = std::make_shared<const cpython::Layout>(py_.layout());
    python_ = std::make_unique<cpython::Interpreter>(version, std::move(layout), anchors);
    for (auto& [start, bytes] : py_.memory().segments()) pristine_[start] = bytes;
  }

  void run(const std::uint8_t* data, std::size_t size) {
    cpython::StackReader reader(*python_, py_.memory());
    const std::string before = look(reader);
    for (std::size_t i = 0; i + 4 <= size; i += 4) edit(data + i);
    look(reader);
    look(reader);
    decode(reader, {data, size});
    restore();
    // A string that was damaged without a trace in its code object may be remembered, but the
    // frames and instructions are those of the chain.
    if (look(reader) == "rejected") std::abort();
    cpython::StackReader fresh(*python_, py_.memory());
    if (look(fresh) != before) std::abort();
  }

 private:
  void push_frames();
  void edit(const std::uint8_t* what);
  std::string look(cpython::StackReader& reader) const;
  void decode(cpython::StackReader& reader, std::span<const std::uint8_t> input);
  // Only what edits can reach is compared and copied back: the rest of the image is large.
  void restore() {
    for (const auto& [at, length] : ranges()) {
      auto& now = segment(at);
      const auto& then = pristine_.at(now.first);
      const auto offset = static_cast<std::ptrdiff_t>(at.value - now.first.value);
      std::copy_n(then.begin() + offset, length, now.second->begin() + offset);
    }
  }
  std::vector<std::pair<RemoteAddr, std::size_t>> ranges() const {
    return {{begin_, end_.value - begin_.value}, {frames_begin_, kFrameBytes}};
  }
  std::pair<RemoteAddr, std::vector<std::byte>*>& segment(RemoteAddr at) {
    auto it = --py_.memory().segments().upper_bound(at);
    segment_ = {it->first, &it->second};
    return segment_;
  }

  static constexpr std::size_t kFrameBytes = 1024;  // of the stack of frames (3.11+)

  PyImageBuilder py_;
  RemoteAddr begin_, end_, thread_, frames_begin_{0x7f1000000000};
  std::unique_ptr<cpython::Interpreter> python_;
  std::map<RemoteAddr, std::vector<std::byte>> pristine_;
  std::pair<RemoteAddr, std::vector<std::byte>*> segment_;
};

void Image::push_frames() {
  const RemoteAddr type = py_.add_class("pkg", "Thing");
  const RemoteAddr inner = py_.add_list({py_.add_int(-5), py_.add_str(U"é😀"), py_.none()});
  const std::vector<RemoteAddr> values = {
      py_.add_dict({{py_.add_str("key"), inner}, {py_.add_int(2), py_.add_float(0.5)}}),
      py_.add_set({py_.add_int(1)}),
      py_.add_tuple({py_.add_bool(true), py_.add_bytes("bytes"), py_.add_module("os")}),
      py_.add_object(type, 64),
      py_.add_digits({1, 2, 3, 4}, true),
      py_.add_cell(py_.add_function("in.a.cell"))};
  if (py_.layout().strategies.first_hidden_owner != 0xff) {
    FrameSpec root;
    root.owner = 3;
    root.on_heap = true;
    py_.push_frame(thread_, root);
  }
  for (const char* name : {"main", "caller", "größe", "leaf"}) {
    CodeSpec spec;
    spec.name = name;
    spec.locals = {"a", "b", "c", "d", "e"};
    spec.frees = {"f"};
    FrameSpec frame;
    frame.code = py_.add_code(spec);
    frame.instruction = 3;
    frame.values = values;
    frame.on_heap = spec.name == "caller";
    frame.owner = frame.on_heap ? 1 : 0;
    py_.push_frame(thread_, frame);
  }
}

void Image::edit(const std::uint8_t* what) {
  const std::size_t where = what[0] | static_cast<std::size_t>(what[1]) << 8;
  const auto [start, length] = ranges()[what[2] >> 7];
  const RemoteAddr byte = start + where % (length - 8);
  const RemoteAddr word{byte.value & ~std::uint64_t{7}};
  constexpr std::uint64_t kSpecial[] = {
      0, ~std::uint64_t{0}, std::uint64_t{1} << 63, 0x7fffffff, 1, 0x1000};
  switch (what[2] % 4) {
    case 0:
      return py_.memory().write(byte, what[3]);
    case 1:
      return py_.memory().write(word, kSpecial[what[3] % std::size(kSpecial)]);
    case 2:  // a pointer to some other place of the image
      return py_.memory().write(word, begin_.value + std::uint64_t{what[3]} * 64);
    default:
      return py_.memory().write(word, frames_begin_.value + std::uint64_t{what[3]} * 8);
  }
}

std::string Image::look(cpython::StackReader& reader) const {
  const RemoteAddr state = reader.find_thread_state(kThreadId);
  cpython::RawStack raw;
  if (!reader.capture(state ? state : thread_, raw).has_value()) return "rejected";
  std::vector<memspy::Frame> frames;
  reader.resolve(raw, frames);
  std::string text;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    text += frames[i].function + frames[i].file + std::to_string(frames[i].line);
    if (i >= 8) continue;  // enough of a chain that became long
    const auto locals = reader.locals(raw.frames[i], kReprCap);
    if (!locals.has_value()) continue;
    for (const cpython::LocalVariable& variable : *locals) text += variable.name + variable.repr;
  }
  return text;
}

// What the kernel's program copied, or what came of it: frames at addresses of the image, their
// bytes from the image, from the input, or cut short.
void Image::decode(cpython::StackReader& reader, std::span<const std::uint8_t> input) {
  const auto plan = cpython::plan_walk(python_->layout(), python_->anchors());
  if (!plan) return;
  std::deque<std::vector<std::byte>> bytes;
  std::vector<cpython::RecordedFrame> frames;
  RemoteAddr next = frames_begin_;
  for (std::size_t i = 0; i + 4 <= input.size() && frames.size() < 64; i += 4) {
    const RemoteAddr at = input[i] % 2 == 0 ? next : begin_ + std::size_t{input[i + 1]} * 8;
    auto& copy = bytes.emplace_back(plan->frame_bytes);
    if (input[i] % 3 == 0) {
      std::memcpy(copy.data(), &input[i], std::min(copy.size(), input.size() - i));
    } else {
      (void)py_.memory().read_some(at, copy);
    }
    if (input[i] % 7 == 0) copy.resize(input[i + 2] % copy.size());
    if (copy.size() >= plan->frame_previous + sizeof(std::uint64_t))
      std::memcpy(&next.value, copy.data() + plan->frame_previous, sizeof(next.value));
    frames.push_back({at, copy});
  }
  cpython::RecordedStack stack;
  stack.state = thread_;
  stack.frames = frames;
  stack.truncated = !input.empty() && input[0] % 2 == 1;
  cpython::RawStack raw;
  if (!reader.decode(stack, raw).has_value()) return;
  std::vector<memspy::Frame> found;
  reader.resolve(raw, found);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return memspy::fuzz::run_by_version<Image>(data, size);
}

#include "cpython/stack_reader.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "cpython/call_grouper.h"
#include "cpython/code_cache.h"
#include "cpython/frame_locals.h"
#include "cpython/frame_walker.h"
#include "cpython/thread_index.h"
#include "cpython/thread_view.h"

namespace memspy::cpython {
namespace {

constexpr std::size_t kMaxThreads = 1 << 14;  // remembered; more are forgotten together
// Of the code objects that the last sample had in the same place, this many are compared again with
// each sample, in turn: code may be freed and its memory reused between two samples, but rarely is.
constexpr std::size_t kChecksPerCapture = 3;
// A thread that was seen to replace code (exec in a loop) has all of it compared for this long.
constexpr unsigned kWatchfulCaptures = 1000;

// Counts what costs: calls, not requests. Nothing is readable once time is up.
class MeteredMemory final : public MemoryReader {
 public:
  MeteredMemory(const MemoryReader& below, std::uint64_t& calls) : below_(&below), calls_(&calls) {}
  void set_deadline(SteadyTime deadline) { deadline_ = deadline; }
  bool overdue() const {
    return deadline_ != SteadyTime::max() && std::chrono::steady_clock::now() >= deadline_;
  }
  std::size_t read_some(RemoteAddr addr, std::span<std::byte> out) const override {
    if (overdue()) return 0;
    ++*calls_;
    return below_->read_some(addr, out);
  }
  void read_many(std::span<ReadRequest> requests) const override {
    if (overdue()) return;  // none of them is done
    ++*calls_;
    below_->read_many(requests);
  }

 private:
  SteadyTime deadline_ = SteadyTime::max();
  const MemoryReader* below_;
  std::uint64_t* calls_;
};

struct ShownCode {
  RemoteAddr frame, code;
  bool operator==(const ShownCode&) const = default;
};

// The last sample of a thread: where the next one is looked for first.
struct ThreadMemory {
  std::optional<ThreadView> view;
  std::vector<RemoteAddr> visited;
  std::vector<ShownCode> shown;    // innermost first
  std::vector<RemoteAddr> checks;  // code compared this time although it is in the same place
  std::size_t next_check = 0;
  unsigned watchful = 0;
};

void clear(RawStack& stack) {
  stack.frames.clear();
  stack.calls.clear();
  stack.bytecode_size = 0;
  stack.collecting = false;
  stack.truncated = false;
}

// From what a frame says to a byte offset into its bytecode.
class InstructionDecoder {
 public:
  explicit InstructionDecoder(const Layout& layout)
      : kind_(layout.strategies.instruction), code_start_(layout.offset(Field::kCodeAdaptive)) {}

  std::int64_t offset(const WalkedFrame& frame) const {
    constexpr std::int64_t kUnit = 2;
    switch (kind_) {
      case InstructionKind::kByteOffset:
        return static_cast<std::int32_t>(frame.instruction);
      case InstructionKind::kUnitOffset:
        return static_cast<std::int32_t>(frame.instruction) * kUnit;
      case InstructionKind::kPreviousPointer:
      case InstructionKind::kInstructionPointer:
        break;
    }
    return static_cast<std::int64_t>(frame.instruction - frame.code.value - code_start_);
  }

 private:
  InstructionKind kind_;
  std::uint64_t code_start_;
};

}  // namespace

struct StackReader::Impl {
  Impl(const Interpreter& target, const MemoryReader& below)
      : interpreter(target),
        memory(below, stats.reads),
        threads(interpreter, memory),
        views(interpreter.layout(), interpreter.anchors()),
        walker(interpreter.layout()),
        instructions(interpreter.layout()),
        codes(interpreter.layout(), memory, interpreter.anchors().code_type),
        copy(memory) {}

  Result<Unit> capture(RemoteAddr state, RawStack& out, bool again = false);
  Result<Unit> decode(const RecordedStack& recorded, RawStack& out);
  void speculate(RemoteAddr state, ThreadMemory& last);
  static void choose_checks(ThreadMemory& last);
  std::optional<ThreadView> current_view(RemoteAddr state);
  Result<Unit> capture_again(RemoteAddr stale, RawStack& out);
  Result<Unit> check_codes(ThreadMemory& last);
  std::optional<RemoteAddr> code_around(RemoteAddr instruction);
  bool find_function(RemoteAddr instruction, RawStack& out);
  bool in_same_place(const ThreadMemory& last, std::size_t index) const;
  Result<Unit> emit(RawStack& out) const;
  void remember(ThreadMemory& last) const;
  ThreadMemory& memory_of(RemoteAddr state);

  Interpreter interpreter;
  StackReaderStats stats;
  MeteredMemory memory;
  ThreadIndex threads;
  ThreadViewReader views;
  FrameWalker walker;
  InstructionDecoder instructions;
  CodeCache codes;
  MemoryCopy copy;
  FrameChainCopy chain;
  std::vector<RemoteAddr> to_check, to_load;
  std::unordered_map<RemoteAddr, ThreadMemory> last_samples;
};

void StackReader::Impl::choose_checks(ThreadMemory& last) {
  last.checks.clear();
  const std::size_t count =
      last.watchful > 0 ? last.shown.size() : std::min(kChecksPerCapture, last.shown.size());
  for (std::size_t i = 0; i < count; ++i) {
    last.checks.push_back(last.shown[last.next_check++ % last.shown.size()].code);
  }
}

// One batch for all that the last sample lets expect. What it does not foresee is read afterwards.
void StackReader::Impl::speculate(RemoteAddr state, ThreadMemory& last) {
  copy.clear();
  views.want(copy, state);
  if (last.view) views.want_behind(copy, *last.view);
  walker.want(copy, last.visited, last.shown.empty() ? RemoteAddr{} : last.shown.front().frame);
  choose_checks(last);
  for (const RemoteAddr code : last.checks) codes.want(copy, code);
  copy.fetch();
}

// nullopt: this is not, or no longer, the state of a thread that find_thread_state() gave it for.
std::optional<ThreadView> StackReader::Impl::current_view(RemoteAddr state) {
  const auto view = views.find(copy, state);
  if (!view) return std::nullopt;
  views.want_behind(copy, *view);  // what was not foreseen
  copy.fetch();
  const std::uint64_t expected = threads.thread_id_of(state);
  if (expected != 0 && view->thread_id != expected) return std::nullopt;
  if (!views.is_linked(copy, state, *view)) return std::nullopt;
  return view;
}

// Stacks are compared from their outer ends, which change least.
bool StackReader::Impl::in_same_place(const ThreadMemory& last, std::size_t index) const {
  const std::size_t depth = chain.frames.size() - index;
  if (depth > last.shown.size()) return false;
  const WalkedFrame& now = chain.frames[index];
  const ShownCode& before = last.shown[last.shown.size() - depth];
  return before.frame == now.frame && before.code == now.code;
}

// Afterwards the cache holds the code of every frame of the chain as it is now.
Result<Unit> StackReader::Impl::check_codes(ThreadMemory& last) {
  to_check.clear();
  for (std::size_t i = 0; i < chain.frames.size(); ++i) {
    const RemoteAddr code = chain.frames[i].code;
    const bool skip = in_same_place(last, i) && codes.find(code) != nullptr &&
                      std::find(last.checks.begin(), last.checks.end(), code) == last.checks.end();
    if (!skip) to_check.push_back(code);
  }
  std::sort(to_check.begin(), to_check.end());
  to_check.erase(std::unique(to_check.begin(), to_check.end()), to_check.end());
  for (const RemoteAddr code : to_check) codes.want(copy, code);
  copy.fetch();
  to_load.clear();
  if (last.watchful > 0) --last.watchful;
  for (const RemoteAddr code : to_check) {
    const CodeCache::Entry* entry = codes.find(code);
    if (entry != nullptr && codes.is_current(*entry, copy, code)) continue;
    if (entry != nullptr) last.watchful = kWatchfulCaptures;
    to_load.push_back(code);
  }
  if (!to_load.empty()) MEMSPY_CHECK(codes.load(copy, to_load));
  return Unit{};
}

Result<Unit> StackReader::Impl::emit(RawStack& out) const {
  constexpr std::int64_t kNotStarted = -2;  // one unit before the code, or f_lasti == -1
  CallGrouper calls(chain, out.calls);
  for (std::size_t i = 0; i < chain.frames.size(); ++i) {
    const WalkedFrame& frame = chain.frames[i];
    const CodeCache::Entry* entry = codes.find(frame.code);
    if (entry == nullptr) return make_error(Errc::kInternal, "a code object is not in the cache");
    const std::int64_t offset = instructions.offset(frame);
    if (offset < kNotStarted || offset >= entry->bytecode_size) {
      return make_error(Errc::kCorrupt,
                        fmt::format("frame {:#x} is at offset {} of {} bytes of code",
                                    frame.frame.value, offset, entry->bytecode_size));
    }
    const bool shown = frame.generator || offset >= entry->first_traceable;
    calls.add(i, shown);
    if (!shown) continue;
    if (out.frames.empty()) out.bytecode_size = entry->bytecode_size;
    out.frames.push_back(
        {frame.frame, entry->text, static_cast<std::int32_t>(offset), entry->bytecode});
  }
  calls.finish();
  out.truncated = chain.truncated;
  return Unit{};
}

void StackReader::Impl::remember(ThreadMemory& last) const {
  last.visited = chain.visited;
  last.shown.clear();
  for (const WalkedFrame& frame : chain.frames) last.shown.push_back({frame.frame, frame.code});
}

ThreadMemory& StackReader::Impl::memory_of(RemoteAddr state) {
  if (last_samples.size() >= kMaxThreads && !last_samples.contains(state)) last_samples.clear();
  return last_samples[state];
}

// A thread state that ended, while its thread may have another one: PyGILState_Ensure makes a new
// one each time, and a new thread often gets the pthread_self() of one that ended.
Result<Unit> StackReader::Impl::capture_again(RemoteAddr stale, RawStack& out) {
  const std::uint64_t thread_id = threads.thread_id_of(stale);
  last_samples.erase(stale);
  if (thread_id == 0) {
    return make_error(Errc::kCorrupt, fmt::format("{:#x} is no thread state", stale.value));
  }
  const RemoteAddr state = threads.find_anew(thread_id);
  return state ? capture(state, out, true) : Unit{};
}

Result<Unit> StackReader::Impl::capture(RemoteAddr state, RawStack& out, bool again) {
  clear(out);
  codes.trim();
  ThreadMemory& last = memory_of(state);
  speculate(state, last);
  const auto view = current_view(state);
  // Nothing was read: that says nothing about the thread.
  if (!view && memory.overdue()) return make_error(Errc::kTimeout, "nothing was read in time");
  if (!view && !again) return capture_again(state, out);
  if (!view)
    return make_error(Errc::kCorrupt, fmt::format("{:#x} is no thread state", state.value));
  const auto innermost = views.innermost_frame(copy, *view);
  if (!innermost)
    return make_error(Errc::kUnreadable, fmt::format("_PyCFrame at {:#x}", view->anchor.value));
  MEMSPY_CHECK(walker.walk(copy, *innermost, chain));
  MEMSPY_CHECK(check_codes(last));
  MEMSPY_CHECK(emit(out));
  out.collecting = views.collecting(copy, *view).value_or(false);
  last.view = view;
  remember(last);
  return Unit{};
}

Result<Unit> StackReader::Impl::decode(const RecordedStack& recorded, RawStack& out) {
  clear(out);
  codes.trim();
  ThreadMemory& last = memory_of(recorded.state);
  copy.clear();
  choose_checks(last);
  MEMSPY_CHECK(walker.walk(recorded.frames, recorded.truncated, chain));
  MEMSPY_CHECK(check_codes(last));
  MEMSPY_CHECK(emit(out));
  out.collecting = recorded.collecting;
  remember(last);
  return Unit{};
}

// The header of a code object, looked for from the instruction backwards.
std::optional<RemoteAddr> StackReader::Impl::code_around(RemoteAddr instruction) {
  constexpr std::uint64_t kObjectAlignment = 16;
  const std::uint64_t start = interpreter.layout().offset(Field::kCodeAdaptive);
  const std::uint64_t type_at = interpreter.layout().offset(Field::kObjectType);
  const std::uint64_t first = instruction.value / kObjectAlignment * kObjectAlignment;
  if (!codes.type() || first < kMaxCodeSearch) return std::nullopt;
  // Page by page: what lies before the heap need not be readable.
  constexpr std::uint64_t kPage = 4096;
  std::array<std::byte, kPage> bytes;
  for (std::uint64_t page = first / kPage * kPage; page + kMaxCodeSearch > first; page -= kPage) {
    if (memory.read_some({page}, bytes) != kPage) return std::nullopt;
    for (std::uint64_t at = std::min(first, page + kPage - kObjectAlignment); at >= page;
         at -= kObjectAlignment) {
      std::uint64_t type = 0;
      std::memcpy(&type, bytes.data() + (at - page) + type_at % kObjectAlignment, sizeof(type));
      const RemoteAddr code{at - type_at / kObjectAlignment * kObjectAlignment};
      if (type == codes.type().value && code.value + start <= instruction.value) return code;
    }
  }
  return std::nullopt;
}

// The thread runs on meanwhile, and an imported module's code lives no longer than its import: only
// an object that is in use before and after its names were read is that function.
bool StackReader::Impl::find_function(RemoteAddr instruction, RawStack& out) {
  if (interpreter.layout().strategies.bytecode == BytecodeKind::kBytesObject) return false;
  const auto code = code_around(instruction);
  if (!code) return false;
  const auto look = [&] {
    copy.clear();
    codes.want(copy, *code);
    copy.fetch();
    return codes.is_genuine(copy, *code);
  };
  if (!look() || !codes.load(copy, std::span(&*code, 1)).has_value()) return false;
  const CodeCache::Entry* entry = codes.find(*code);
  if (entry == nullptr) return false;
  if (!look() || !codes.is_current(*entry, copy, *code)) {
    codes.forget(*code);
    return false;
  }
  const std::uint64_t offset = instruction.value - entry->bytecode.value;
  if (instruction < entry->bytecode || offset >= static_cast<std::uint64_t>(entry->bytecode_size))
    return false;
  out = RawStack{};
  out.frames.push_back({{}, entry->text, static_cast<std::int32_t>(offset), entry->bytecode});
  out.bytecode_size = entry->bytecode_size;
  return true;
}

StackReader::StackReader(const Interpreter& interpreter, const MemoryReader& memory)
    : impl_(std::make_unique<Impl>(interpreter, memory)) {}
StackReader::StackReader(StackReader&&) noexcept = default;
StackReader& StackReader::operator=(StackReader&&) noexcept = default;
StackReader::~StackReader() = default;

const Interpreter& StackReader::interpreter() const { return impl_->interpreter; }
const StackReaderStats& StackReader::stats() const { return impl_->stats; }

RemoteAddr StackReader::find_thread_state(std::uint64_t thread_id) {
  return impl_->threads.find(thread_id);
}

Result<Unit> StackReader::capture(RemoteAddr thread_state, RawStack& out, SteadyTime deadline) {
  ++impl_->stats.captures;
  impl_->memory.set_deadline(deadline);
  auto result = impl_->capture(thread_state, out);
  const bool overdue = impl_->memory.overdue();
  impl_->memory.set_deadline(SteadyTime::max());
  if (!result.has_value()) {
    out.frames.clear();
    // Where the last sample was is still the best guess for the next one.
    if (overdue) return make_error(Errc::kTimeout, "the stack was not read in time");
    ++impl_->stats.rejected;
    impl_->last_samples.erase(thread_state);
  }
  impl_->stats.codes = impl_->codes.size();
  return result;
}

Result<Unit> StackReader::decode(const RecordedStack& recorded, RawStack& out) {
  ++impl_->stats.captures;
  auto result = impl_->decode(recorded, out);
  if (!result.has_value()) {
    out.frames.clear();
    ++impl_->stats.rejected;
    impl_->last_samples.erase(recorded.state);
  }
  impl_->stats.codes = impl_->codes.size();
  return result;
}

bool StackReader::find_function(RemoteAddr instruction, RawStack& out) {
  return impl_->find_function(instruction, out);
}

Frame StackReader::resolve(const RawFrame& raw) const {
  const CodeText& code = impl_->codes.text(raw.code);
  return {code.function, code.file, impl_->codes.line(raw.code, raw.instruction),
          FrameKind::kPython};
}

void StackReader::resolve(const RawStack& raw, std::vector<Frame>& out) const {
  for (const RawFrame& frame : raw.frames) out.push_back(resolve(frame));
}

Result<std::vector<LocalVariable>> StackReader::locals(const RawFrame& frame,
                                                       std::size_t repr_cap) {
  return read_locals(impl_->interpreter.layout(), impl_->memory, frame.frame, repr_cap);
}

}  // namespace memspy::cpython

#include "cpython/probe.h"

#include <algorithm>
#include <unordered_set>

#include <spdlog/fmt/fmt.h>

#include "cpython/object_reader.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

// Deeper stacks are taken for whole: what matters was seen.
constexpr std::size_t kMaxProbedFrames = 2048;
// A running thread may return from a frame while it is read; so often is a torn stack tried again.
constexpr int kStackAttempts = 20;
// All attempts together; a hostile target could else keep the probe busy with threads and frames.
constexpr std::size_t kMaxProbeWork = 200000;
// One whole stack is proof; of these many threads one is looked for.
constexpr std::size_t kMaxProbedThreads = 64;
constexpr std::size_t kMaxProbedInterpreters = 16;  // the oldest, the main one among them
constexpr std::size_t kMaxProbedName = 512;
constexpr std::uint64_t kStackRefTags = 3;

class Prober {
 public:
  Prober(const MemoryReader& memory, const Layout& layout, const Anchors& anchors)
      : memory_(memory), layout_(layout), objects_(layout, memory), code_type_(anchors.code_type) {}

  // The frames of one thread, all decoded down to its root.
  Result<std::size_t> decode_stack(const Block& thread);
  // False: it has no modules yet.
  Result<bool> check_modules(RemoteAddr interpreter) const;
  std::uint32_t version_hex(RemoteAddr interpreter) const;
  RemoteAddr code_type() const { return code_type_; }

 private:
  Result<RemoteAddr> first_frame(const Block& thread) const;
  Result<Unit> check_code(RemoteAddr code);

  const MemoryReader& memory_;
  const Layout& layout_;
  ObjectReader objects_;
  RemoteAddr code_type_;
  std::unordered_set<RemoteAddr> good_codes_;
  std::size_t work_ = 0;  // frames looked at
};

Result<RemoteAddr> Prober::first_frame(const Block& thread) const {
  switch (layout_.strategies.frame_chain) {
    case FrameChain::kFrameObjects:
      return thread.pointer(layout_, Field::kThreadFrame);
    case FrameChain::kCFrame: {
      const RemoteAddr cframe = thread.pointer(layout_, Field::kThreadCFrame);
      if (!cframe) return RemoteAddr{};
      return read_pointer(memory_, layout_, cframe, Field::kCFrameCurrentFrame);
    }
    case FrameChain::kCurrentFrame:
      return thread.pointer(layout_, Field::kThreadCurrentFrame);
  }
  return RemoteAddr{};
}

Result<Unit> Prober::check_code(RemoteAddr code) {
  if (good_codes_.contains(code)) return Unit{};
  MEMSPY_TRY(type, objects_.type_of(code));
  if (code_type_ && type != code_type_) {
    return make_error(Errc::kCorrupt,
                      fmt::format("object at {:#x} is not a code object", code.value));
  }
  if (!code_type_) {
    MEMSPY_TRY(info, objects_.read_type(type));
    if (info.name != "code") {
      return make_error(Errc::kCorrupt,
                        fmt::format("a frame runs a \"{}\", not a code object", info.name));
    }
  }
  for (const Field field : {Field::kCodeName, Field::kCodeFilename}) {
    MEMSPY_TRY(text, read_pointer(memory_, layout_, code, field));
    MEMSPY_TRY(name, objects_.read_str(text, kMaxProbedName));
    if (name.empty() && field == Field::kCodeName) {
      return make_error(Errc::kCorrupt,
                        fmt::format("code object at {:#x} has no name", code.value));
    }
  }
  code_type_ = type;
  good_codes_.insert(code);
  return Unit{};
}

Result<std::size_t> Prober::decode_stack(const Block& thread) {
  MEMSPY_TRY(first, first_frame(thread));
  std::size_t decoded = 0, walked = 0;
  for (RemoteAddr frame = first; frame && walked < kMaxProbedFrames; ++walked) {
    if (++work_ > kMaxProbeWork) return make_error(Errc::kCorrupt, "stacks without end");
    MEMSPY_TRY(block, Block::read(memory_, frame, layout_.offset(Field::kFrameLocalsPlus)));
    if (block.get(layout_, Field::kFrameOwner) < layout_.strategies.first_hidden_owner) {
      RemoteAddr code = block.pointer(layout_, Field::kFrameCode);
      if (layout_.strategies.references == ReferenceKind::kStackRef) code.value &= ~kStackRefTags;
      MEMSPY_CHECK(check_code(code));
      ++decoded;
    }
    frame = block.pointer(layout_, Field::kFramePrevious);
  }
  return decoded;
}

// sys.modules is a dict: what a process shows that has an interpreter, but no Python frame just
// now.
Result<bool> Prober::check_modules(RemoteAddr interpreter) const {
  MEMSPY_TRY(modules, read_pointer(memory_, layout_, interpreter, Field::kInterpreterModules));
  if (!modules) return false;
  MEMSPY_TRY(type, objects_.type_of(modules));
  MEMSPY_TRY(info, objects_.read_type(type));
  if ((info.flags & kTypeDictSubclass) == 0) {
    return make_error(Errc::kCorrupt, fmt::format("sys.modules would be a \"{}\"", info.name));
  }
  return true;
}

std::uint32_t Prober::version_hex(RemoteAddr interpreter) const {
  const auto sysdict = read_pointer(memory_, layout_, interpreter, Field::kInterpreterSysdict);
  if (!sysdict || !*sysdict) return 0;
  const auto object = objects_.find_item(*sysdict, "hexversion");
  if (!object || !*object) return 0;
  const auto value = objects_.read_int(*object);
  if (!value || *value < 0 || *value > 0xffffffff) return 0;
  return static_cast<std::uint32_t>(*value);
}

struct StackTally {
  std::size_t threads = 0, frames = 0, whole = 0;
  Error last_error;
};

void tally_threads(const MemoryReader& memory, const Layout& layout, RemoteAddr interpreter,
                   Prober& prober, StackTally& tally) {
  const std::vector<Block> threads = list_threads(memory, layout, interpreter);
  tally.threads += threads.size();
  for (std::size_t i = 0; i < threads.size() && i < kMaxProbedThreads; ++i) {
    const auto decoded = prober.decode_stack(threads[i]);
    if (!decoded) {
      tally.last_error = decoded.error();
      continue;
    }
    ++tally.whole;
    tally.frames += *decoded;
  }
}

}  // namespace

std::string ProbeResult::evidence() const {
  std::string text;
  if (interpreters > 1) text = fmt::format("{} interpreters, ", interpreters);
  return text + fmt::format("{} thread{}, {} frame{} decoded", threads, threads == 1 ? "" : "s",
                            frames, frames == 1 ? "" : "s");
}

Result<ProbeResult> probe(const MemoryReader& memory, const Layout& layout,
                          const Anchors& anchors) {
  Prober prober(memory, layout, anchors);
  ProbeResult result;
  const auto not_ready = [&](std::string why) {
    result.not_ready = std::move(why);
    return result;
  };
  MEMSPY_TRY(head, read<std::uint64_t>(memory, anchors.interpreters_head));
  if (head == 0) return not_ready("the Python runtime has no interpreter yet, or no more");
  MEMSPY_TRY(interpreters, list_interpreters(memory, layout, anchors));
  const RemoteAddr main = interpreters.back().address;
  MEMSPY_TRY(has_modules, prober.check_modules(main));
  if (!has_modules) return not_ready("the interpreter has no modules yet");
  MEMSPY_TRY(first_thread, read_field(memory, layout, main, Field::kInterpreterThreadsHead));
  if (first_thread == 0) return not_ready("the interpreter has no thread yet, or no more");
  StackTally tally;
  const std::size_t probed = std::min(interpreters.size(), kMaxProbedInterpreters);
  for (int attempt = 0; attempt < kStackAttempts && tally.whole == 0; ++attempt) {
    tally = {};
    for (std::size_t i = interpreters.size() - probed; i < interpreters.size(); ++i) {
      tally_threads(memory, layout, interpreters[i].address, prober, tally);
    }
  }
  if (tally.threads == 0) {
    return make_error(Errc::kCorrupt, "no thread state that points back to its interpreter");
  }
  if (tally.whole == 0) return tally.last_error;
  result.interpreters = interpreters.size();
  result.threads = tally.threads;
  result.frames = tally.frames;
  result.code_type = prober.code_type();
  result.version_hex = prober.version_hex(main);
  if (result.frames == 0 && result.version_hex == 0) {
    return not_ready("no Python frame and no sys.hexversion yet");
  }
  return result;
}

}  // namespace memspy::cpython

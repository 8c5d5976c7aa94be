#include "cpython/frame_walker.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kMaxReach =
    4 * kPage;  // a chunk of frames is 16 KiB unless a frame is larger
constexpr std::uint64_t kStackRefTags = 3;
constexpr std::uint64_t kOwnedByGenerator = 1;
constexpr std::uint64_t kNoHiddenFrames = 0xff;

// Brent's: finds that the walk goes in circles without remembering where it was.
class CycleGuard {
 public:
  bool seen(RemoteAddr at) {
    if (at == anchor_) return true;
    if (++steps_ == limit_) {
      anchor_ = at;
      limit_ *= 2;
      steps_ = 0;
    }
    return false;
  }

 private:
  RemoteAddr anchor_;
  std::size_t steps_ = 0, limit_ = 2;
};

Error broken(std::string_view why, RemoteAddr frame) {
  return make_error(Errc::kCorrupt, fmt::format("{} at frame {:#x}", why, frame.value));
}

}  // namespace

FrameWalker::FrameWalker(const Layout& layout)
    : previous_(layout.find(Field::kFramePrevious).value_or(Slot{})),
      code_(layout.find(Field::kFrameCode).value_or(Slot{})),
      instruction_(layout.find(Field::kFrameInstruction).value_or(Slot{})),
      owner_(layout.find(Field::kFrameOwner).value_or(Slot{})),
      is_entry_(layout.find(Field::kFrameIsEntry).value_or(Slot{})),
      first_hidden_owner_(layout.strategies.first_hidden_owner),
      contiguous_(layout.strategies.frame_chain != FrameChain::kFrameObjects) {
  if (layout.strategies.references == ReferenceKind::kStackRef) reference_mask_ = ~kStackRefTags;
  for (const Slot slot : {previous_, code_, instruction_, owner_}) {
    head_size_ = std::max<std::size_t>(head_size_, std::size_t{slot.offset} + slot.width);
  }
}

void FrameWalker::want(MemoryCopy& copy, std::span<const RemoteAddr> frames,
                       RemoteAddr innermost) const {
  for (const RemoteAddr frame : frames) copy.want(frame, head_size_);
  if (contiguous_ && innermost) copy.want(innermost, kPage - innermost.value % kPage);
}

// `reach`: how far below a missing frame to copy, since the next frames are mostly there; doubles
// from miss to miss so that a deep stack costs few calls and a shallow one few bytes. Not where the
// chain has jumped: the interpreter's own frames lie on the C stack, and below them may be pages
// that nobody has touched, which reading would map.
std::span<const std::byte> FrameWalker::read_frame(MemoryCopy& copy, RemoteAddr frame,
                                                   RemoteAddr inner, std::size_t& reach) const {
  auto bytes = copy.find(frame, head_size_);
  if (!bytes.empty()) return bytes;
  if (inner && (frame > inner || inner.value - frame.value > kMaxReach)) reach = kPage;
  if (contiguous_) {
    const std::uint64_t below = frame.value % kPage + reach - kPage;  // from the start of a page
    reach = std::min(2 * reach, kMaxReach);
    if (below < frame.value) copy.want(frame - below, below + head_size_);
    copy.fetch();
    bytes = copy.find(frame, head_size_);
    if (!bytes.empty()) return bytes;
    reach = kPage;  // nothing is mapped below: the chain went elsewhere
  }
  copy.want(frame, head_size_);
  copy.fetch();
  return copy.find(frame, head_size_);
}

template <typename Read>
Result<Unit> FrameWalker::follow(Read&& read, RemoteAddr innermost, FrameChainCopy& out) const {
  out.visited.clear();
  out.frames.clear();
  out.boundaries.clear();
  out.truncated = false;
  CycleGuard guard;
  // From 3.12 on the interpreter's own frame is outermost. A chain that ends elsewhere was caught
  // while a generator's frame was taken out of it: the store of its null `previous` may come first.
  bool at_root = first_hidden_owner_ == kNoHiddenFrames || !innermost;
  for (RemoteAddr frame = innermost; frame;) {
    if (!is_plausible(frame)) return broken("no frame address", frame);
    if (guard.seen(frame)) return broken("a cycle", frame);
    if (out.visited.size() == kMaxFrameDepth) {
      out.truncated = true;
      break;
    }
    const RemoteAddr inner = out.visited.empty() ? RemoteAddr{} : out.visited.back();
    const std::span<const std::byte> bytes = read(frame, inner);
    if (bytes.empty()) {
      return make_error(Errc::kUnreadable, fmt::format("frame at {:#x}", frame.value));
    }
    out.visited.push_back(frame);
    const std::uint64_t owner = field_of(bytes, owner_);
    if (owner >= first_hidden_owner_) {
      at_root = true;
      out.boundaries.emplace_back(frame, out.frames.size());
    } else {
      at_root = first_hidden_owner_ == kNoHiddenFrames;
      const RemoteAddr code{field_of(bytes, code_) & reference_mask_};
      if (!is_plausible(code)) return broken("no code object", frame);
      const bool entry = is_entry_.width == 0 || field_of(bytes, is_entry_) != 0;
      out.frames.push_back(
          {frame, code, field_of(bytes, instruction_), owner == kOwnedByGenerator, entry});
    }
    frame = RemoteAddr{field_of(bytes, previous_)};
  }
  if (!at_root && !out.truncated) return broken("the chain ends in the middle", out.visited.back());
  return Unit{};
}

Result<Unit> FrameWalker::walk(MemoryCopy& copy, RemoteAddr innermost, FrameChainCopy& out) const {
  std::size_t reach = kPage;
  const auto read = [&](RemoteAddr frame, RemoteAddr inner) {
    return read_frame(copy, frame, inner, reach);
  };
  return follow(read, innermost, out);
}

Result<Unit> FrameWalker::walk(std::span<const RecordedFrame> frames, bool truncated,
                               FrameChainCopy& out) const {
  std::size_t next = 0;
  const auto read = [&](RemoteAddr frame, RemoteAddr) -> std::span<const std::byte> {
    if (next == frames.size() || frames[next].frame != frame) return {};
    const auto bytes = frames[next++].bytes;
    return bytes.size() < head_size_ ? std::span<const std::byte>() : bytes.first(head_size_);
  };
  auto walked = follow(read, frames.empty() ? RemoteAddr{} : frames.front().frame, out);
  const bool at_end = next == frames.size();
  if (walked.has_value() || !truncated || !at_end || walked.error().code != Errc::kUnreadable)
    return walked;
  out.truncated = true;
  return Unit{};
}

}  // namespace memspy::cpython

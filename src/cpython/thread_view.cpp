#include "cpython/thread_view.h"

#include <algorithm>

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

Field anchor_field(FrameChain chain) {
  switch (chain) {
    case FrameChain::kFrameObjects:
      return Field::kThreadFrame;
    case FrameChain::kCFrame:
      return Field::kThreadCFrame;
    case FrameChain::kCurrentFrame:
      break;
  }
  return Field::kThreadCurrentFrame;
}

bool null_or_plausible(RemoteAddr addr) { return !addr || is_plausible(addr); }

}  // namespace

ThreadViewReader::ThreadViewReader(const Layout& layout, const Anchors& anchors)
    : layout_(&layout),
      anchor_(layout.find(anchor_field(layout.strategies.frame_chain)).value_or(Slot{})),
      through_cframe_(layout.strategies.frame_chain == FrameChain::kCFrame) {
  if (layout.strategies.gc_place == GcPlace::kStatics) process_wide_flag_ = anchors.gc_collecting;
  if (layout.strategies.gc_place == GcPlace::kRuntime) {
    process_wide_flag_ =
        anchors.runtime + layout.offset(Field::kRuntimeGc) + layout.offset(Field::kGcCollecting);
  }
  const Field fields[] = {Field::kThreadPrev, Field::kThreadInterpreter, Field::kThreadThreadId};
  head_size_ = std::size_t{anchor_.offset} + anchor_.width;
  for (const Field field : fields) {
    const Slot slot = layout.find(field).value_or(Slot{});
    head_size_ = std::max(head_size_, std::size_t{slot.offset} + slot.width);
  }
}

RemoteAddr ThreadViewReader::collecting_flag(RemoteAddr interpreter) const {
  if (layout_->strategies.gc_place != GcPlace::kInterpreter) return process_wide_flag_;
  return interpreter + layout_->offset(Field::kInterpreterGc) +
         layout_->offset(Field::kGcCollecting);
}

void ThreadViewReader::want_behind(MemoryCopy& copy, const ThreadView& view) const {
  copy.want(view.link, sizeof(std::uint64_t));
  if (through_cframe_ && view.anchor) {
    copy.want(view.anchor + layout_->offset(Field::kCFrameCurrentFrame), sizeof(std::uint64_t));
  }
  copy.want(collecting_flag(view.interpreter), sizeof(std::int32_t));
}

std::optional<ThreadView> ThreadViewReader::find(const MemoryCopy& copy, RemoteAddr state) const {
  const auto bytes = copy.find(state, head_size_);
  if (bytes.empty()) return std::nullopt;
  const auto get = [&](Field field) {
    return field_of(bytes, layout_->slots[static_cast<std::size_t>(field)]);
  };
  ThreadView view;
  view.interpreter = {get(Field::kThreadInterpreter)};
  view.thread_id = get(Field::kThreadThreadId);
  view.anchor = {field_of(bytes, anchor_)};
  const RemoteAddr previous{get(Field::kThreadPrev)};
  if (!is_plausible(view.interpreter) || !null_or_plausible(previous) ||
      !null_or_plausible(view.anchor)) {
    return std::nullopt;
  }
  view.link = previous ? previous + layout_->offset(Field::kThreadNext)
                       : view.interpreter + layout_->offset(Field::kInterpreterThreadsHead);
  return view;
}

bool ThreadViewReader::is_linked(const MemoryCopy& copy, RemoteAddr state,
                                 const ThreadView& view) const {
  const auto bytes = copy.find(view.link, sizeof(std::uint64_t));
  return field_of(bytes, {0, sizeof(std::uint64_t)}) == state.value;
}

std::optional<RemoteAddr> ThreadViewReader::innermost_frame(const MemoryCopy& copy,
                                                            const ThreadView& view) const {
  if (!through_cframe_ || !view.anchor) return view.anchor;
  const auto bytes =
      copy.find(view.anchor + layout_->offset(Field::kCFrameCurrentFrame), sizeof(std::uint64_t));
  if (bytes.empty()) return std::nullopt;
  return RemoteAddr{field_of(bytes, {0, sizeof(std::uint64_t)})};
}

std::optional<bool> ThreadViewReader::collecting(const MemoryCopy& copy,
                                                 const ThreadView& view) const {
  const RemoteAddr flag = collecting_flag(view.interpreter);
  const auto bytes = flag ? copy.find(flag, sizeof(std::int32_t)) : std::span<const std::byte>();
  if (bytes.empty()) return std::nullopt;
  return field_of(bytes, {0, sizeof(std::int32_t)}) != 0;
}

}  // namespace memspy::cpython

#include "cpython/recorded_stack.h"

#include <algorithm>

#include "cpython/frame_walker.h"
#include "cpython/thread_view.h"

namespace memspy::cpython {

std::optional<WalkPlan> plan_walk(const Layout& layout, const Anchors& anchors) {
  if (!anchors.interpreters_head) return std::nullopt;
  const auto offset = [&](Field field) { return layout.find(field).value_or(Slot{}).offset; };
  WalkPlan plan;
  plan.interpreters_head = anchors.interpreters_head;
  plan.interpreter_next = offset(Field::kInterpreterNext);
  plan.interpreter_threads = offset(Field::kInterpreterThreadsHead);
  plan.thread_prev = offset(Field::kThreadPrev);
  plan.thread_next = offset(Field::kThreadNext);
  plan.thread_interpreter = offset(Field::kThreadInterpreter);
  plan.thread_id = offset(Field::kThreadThreadId);
  const ThreadViewReader views(layout, anchors);
  plan.thread_anchor = views.anchor().offset;
  plan.through_cframe = views.through_cframe();
  plan.thread_bytes = std::max({plan.thread_prev, plan.thread_next, plan.thread_interpreter,
                                plan.thread_id, plan.thread_anchor}) +
                      static_cast<std::uint32_t>(sizeof(std::uint64_t));
  plan.cframe_current = offset(Field::kCFrameCurrentFrame);
  plan.collecting_flag = views.process_wide_flag();
  if (layout.strategies.gc_place == GcPlace::kInterpreter)
    plan.interpreter_collecting = offset(Field::kInterpreterGc) + offset(Field::kGcCollecting);
  plan.gc_next = offset(Field::kGcHeadNext);
  const FrameWalker walker(layout);
  plan.frame_previous = offset(Field::kFramePrevious);
  plan.frames_in_chunks = walker.contiguous();
  plan.frame_bytes = static_cast<std::uint32_t>(walker.head_size());
  return plan;
}

}  // namespace memspy::cpython

#include "cli/naming_sink.h"

#include <spdlog/fmt/fmt.h>

#include <ranges>

namespace memspy::cli {
namespace {

Error out_of_order(const char* what, std::uint32_t id) {
  return make_error(Errc::kInternal, fmt::format("{} {} came out of order", what, id));
}

}  // namespace

std::vector<Frame> NamingSink::names_of(const Frame& frame) const {
  if (frame.kind != FrameKind::kNative) return {frame};
  std::vector<Frame> names = name_(frame);
  if (names.empty()) return {frame};
  // The names say where it is; with its address each call of a function would be a stack of its
  // own.
  for (Frame& name : names) name.code.address = 0;
  return names;
}

Result<FrameId> NamingSink::define(const Frame& frame) {
  const auto known = stacks_.frame_count();
  const FrameId id = stacks_.intern(frame);
  if (stacks_.frame_count() > known) MEMSPY_CHECK(sink_->on_frame(id, frame));
  return id;
}

Result<StackId> NamingSink::define(StackId parent, FrameId frame) {
  const auto known = stacks_.stack_count();
  const StackId id = stacks_.intern(parent, frame);
  if (stacks_.stack_count() > known) MEMSPY_CHECK(sink_->on_stack(id, stacks_.node(id)));
  return id;
}

Result<Unit> NamingSink::on_frame(FrameId id, const Frame& frame) {
  if (id.value != frames_.size() + 1) return out_of_order("frame", id.value);
  std::vector<FrameId> ids;
  const std::vector<Frame> names = names_of(frame);  // innermost first
  for (const Frame& name : std::views::reverse(names)) {
    MEMSPY_TRY(defined, define(name));
    ids.push_back(defined);
  }
  frames_.push_back(std::move(ids));
  return Unit{};
}

Result<Unit> NamingSink::on_stack(StackId id, const StackTable::Node& node) {
  const bool known = id.value == stack_of_.size() + 1 && node.parent.value <= stack_of_.size() &&
                     node.frame.value >= 1 && node.frame.value <= frames_.size();
  if (!known) return out_of_order("stack", id.value);
  StackId stack = node.parent == kNoStack ? kNoStack : stack_of_[node.parent.value - 1];
  for (const FrameId frame : frames_[node.frame.value - 1]) {
    MEMSPY_TRY(defined, define(stack, frame));
    stack = defined;
  }
  stack_of_.push_back(stack);
  return Unit{};
}

template <typename Record>
Result<Record> NamingSink::renamed(Record record) const {
  if (record.stack == kNoStack) return record;
  if (record.stack.value > stack_of_.size()) return out_of_order("stack", record.stack.value);
  record.stack = stack_of_[record.stack.value - 1];
  return record;
}

Result<Unit> NamingSink::on_growth(const GrowthRecord& growth) {
  MEMSPY_TRY(record, renamed(growth));
  return sink_->on_growth(record);
}

Result<Unit> NamingSink::on_live(const LiveRecord& live) {
  MEMSPY_TRY(record, renamed(live));
  return sink_->on_live(record);
}

Result<Unit> NamingSink::on_allocation(const AllocationRecord& allocation) {
  MEMSPY_TRY(record, renamed(allocation));
  return sink_->on_allocation(record);
}

}  // namespace memspy::cli

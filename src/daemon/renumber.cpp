#include "daemon/renumber.h"

#include <algorithm>

namespace memspy::daemon {

Result<ProcessIndex> Numbering::define(ProcessRecord record) {
  const auto known = processes_.find(record.identity);
  if (known == processes_.end()) {
    record.index.value = static_cast<std::uint32_t>(processes_.size()) + 1;
  } else {
    const ProcessRecord& before = known->second;
    record.index = before.index;
    record.first_seen = before.first_seen;
    if (before.name == record.name && before.command_line == record.command_line &&
        before.python_version == record.python_version && before.executable == record.executable)
      return record.index;
  }
  MEMSPY_CHECK(out_.on_process(record));
  processes_[record.identity] = record;
  return record.index;
}

Result<ThreadIndex> Numbering::define(ThreadRecord record) {
  const auto known = threads_.find({record.process, record.tid});
  if (known == threads_.end()) {
    record.index.value = static_cast<std::uint32_t>(threads_.size()) + 1;
  } else {
    record.index = known->second.index;
    if (known->second.name == record.name) return record.index;
  }
  MEMSPY_CHECK(out_.on_thread(record));
  threads_[{record.process, record.tid}] = record;
  return record.index;
}

Result<FrameId> Numbering::define(const Frame& frame) {
  const auto before = stacks_.frame_count();
  const FrameId id = stacks_.intern(frame);
  if (stacks_.frame_count() > before) MEMSPY_CHECK(out_.on_frame(id, frame));
  return id;
}

Result<StackId> Numbering::define(StackId parent, FrameId frame) {
  const auto before = stacks_.stack_count();
  const StackId id = stacks_.intern(parent, frame);
  if (stacks_.stack_count() > before) MEMSPY_CHECK(out_.on_stack(id, stacks_.node(id)));
  return id;
}

void Renumber::direct(Numbering* numbers, std::chrono::nanoseconds shift) {
  numbers_ = numbers;
  shift_ = shift;
  process_there_.clear();
  thread_there_.clear();
  stack_there_.clear();
}

void Renumber::forget(ProcessIndex index) {
  processes_.erase(index);
  process_there_.erase(index);
}

bool Renumber::wanted(ProcessIndex index) const {
  if (numbers_ == nullptr) return false;
  if (!only_) return true;
  const auto it = processes_.find(index);
  return it != processes_.end() && it->second.identity == *only_;
}

// A record may name what was never defined, in a recording that is damaged: it stays nobody's.
Result<ProcessIndex> Renumber::process(ProcessIndex index) {
  const auto known = process_there_.find(index);
  if (known != process_there_.end()) return known->second;
  const auto it = processes_.find(index);
  if (it == processes_.end()) return ProcessIndex{};
  ProcessRecord record = it->second;
  // A circle of parents would be a damaged recording's: one level is enough for what is printed.
  const auto parent = process_there_.find(record.parent);
  record.parent = parent == process_there_.end() ? ProcessIndex{} : parent->second;
  record.first_seen = std::max(record.first_seen + shift_, std::chrono::nanoseconds(0));
  MEMSPY_TRY(there, numbers_->define(std::move(record)));
  process_there_[index] = there;
  return there;
}

Result<ThreadIndex> Renumber::thread(ThreadIndex index) {
  const auto known = thread_there_.find(index);
  if (known != thread_there_.end()) return known->second;
  const auto it = threads_.find(index);
  if (it == threads_.end()) return ThreadIndex{};
  ThreadRecord record = it->second;
  MEMSPY_TRY(owner, process(record.process));
  record.process = owner;
  MEMSPY_TRY(there, numbers_->define(std::move(record)));
  thread_there_[index] = there;
  return there;
}

Result<StackId> Renumber::stack(StackId id) {
  // From the innermost outwards to what is told already, then back; a parent's id is lower, so
  // that this ends whatever a damaged file says.
  std::vector<StackId> path;
  StackId there = kNoStack;
  for (StackId at = id; at != kNoStack;) {
    const auto known = stack_there_.find(at);
    if (known != stack_there_.end()) {
      there = known->second;
      break;
    }
    const auto node = nodes_.find(at);
    if (node == nodes_.end()) break;
    path.push_back(at);
    at = node->second.parent < at ? node->second.parent : kNoStack;
  }
  for (auto at = path.rbegin(); at != path.rend(); ++at) {
    const auto frame = frames_.find(nodes_[*at].frame);
    MEMSPY_TRY(number, numbers_->define(frame != frames_.end() ? frame->second : Frame{}));
    MEMSPY_TRY(next, numbers_->define(there, number));
    there = next;
    stack_there_[*at] = there;
  }
  return there;
}

Result<Unit> Renumber::on_process(const ProcessRecord& record) {
  processes_[record.index] = record;
  process_there_.erase(record.index);  // its facts may have changed
  return Unit{};
}

Result<Unit> Renumber::on_thread(const ThreadRecord& record) {
  threads_[record.index] = record;
  thread_there_.erase(record.index);
  return Unit{};
}

Result<Unit> Renumber::on_frame(FrameId id, const Frame& frame) {
  frames_[id] = frame;
  return Unit{};
}

Result<Unit> Renumber::on_stack(StackId id, const StackTable::Node& node) {
  nodes_[id] = node;
  return Unit{};
}

Result<Unit> Renumber::on_point(const SeriesPoint& point) {
  if (!wanted(point.process)) return Unit{};
  SeriesPoint there = point;
  MEMSPY_TRY(owner, process(point.process));
  there.process = owner;
  there.time += shift_;
  return numbers_->out().on_point(there);
}

template <typename Record>
Result<Record> Renumber::renumbered(Record record) {
  MEMSPY_TRY(owner, process(record.process));
  MEMSPY_TRY(by, thread(record.thread));
  MEMSPY_TRY(where, stack(record.stack));
  record.process = owner;
  record.thread = by;
  record.stack = where;
  record.time += shift_;
  return record;
}

Result<Unit> Renumber::on_growth(const GrowthRecord& growth) {
  if (!wanted(growth.process)) return Unit{};
  MEMSPY_TRY(there, renumbered(growth));
  return numbers_->out().on_growth(there);
}

Result<Unit> Renumber::on_unattributed(const UnattributedRecord& rest) {
  if (!wanted(rest.process)) return Unit{};
  MEMSPY_TRY(owner, process(rest.process));
  return numbers_->out().on_unattributed({rest.time + shift_, owner, rest.bytes});
}

Result<Unit> Renumber::on_live(const LiveRecord& record) {
  if (!wanted(record.process)) return Unit{};
  MEMSPY_TRY(there, renumbered(record));
  return numbers_->out().on_live(there);
}

Result<Unit> Renumber::on_gap(const Gap& gap) {
  if (numbers_ == nullptr || (gap.process.value != 0 && !wanted(gap.process))) return Unit{};
  Gap there = gap;
  MEMSPY_TRY(owner, process(gap.process));
  there.process = owner;
  there.time += shift_;
  return numbers_->out().on_gap(there);
}

Result<Unit> Renumber::on_tick_end(std::chrono::nanoseconds time) {
  return numbers_ == nullptr ? Result<Unit>(Unit{}) : numbers_->out().on_tick_end(time + shift_);
}

}  // namespace memspy::daemon

#include "sampler/roster.h"

namespace memspy::sampler {

Target* Roster::find_process(Pid pid) {
  const auto it = processes_.find(pid);
  return it == processes_.end() ? nullptr : it->second.get();
}

Target& Roster::process(Pid pid, std::optional<Pid> parent) {
  if (Target* known = find_process(pid)) return *known;
  const ProcessIndex index{++process_count_};
  auto target = std::make_unique<Target>(proc_, index, pid, assume_minor_, &files_);
  if (parent) {
    if (const Target* owner = find_process(*parent)) parents_[index.value] = owner->index();
  }
  Target& result = *target;
  processes_[pid] = std::move(target);
  announce(result);
  return result;
}

void Roster::announce(const Target& target) {
  ProcessRecord record;
  record.index = target.index();
  record.parent = parents_[target.index().value];
  record.identity = proc_.identity(target.pid()).value_or({target.pid(), 0});
  record.name = proc_.comm(target.pid(), Tid{target.pid().value}).value_or("");
  record.command_line = proc_.command_line(target.pid()).value_or({});
  record.executable = proc_.executable(target.pid()).value_or("");
  if (const auto* interpreter = target.interpreter())
    record.python_version = interpreter->version().text();
  record.first_seen = std::chrono::steady_clock::now() - start_;
  queue_.push(std::move(record));
  if (const auto* interpreter = target.interpreter()) {
    queue_.push(InterpreterFound{target.index(),
                                 std::make_shared<const cpython::Interpreter>(*interpreter)});
  }
}

WindowEdge Roster::edge_of(const Target& target, WindowEdge::Kind kind) const {
  const auto statm = proc_.statm(target.pid());
  return {target.index(), kind, statm.has_value() ? statm->rss_bytes() : 0, {}, false};
}

ThreadIndex Roster::thread(const Target& target, Tid tid) {
  auto [it, fresh] = threads_.try_emplace(tid);
  if (fresh) {
    it->second.index = ThreadIndex{++thread_count_};
    queue_.push(ThreadRecord{it->second.index, target.index(), tid,
                             proc_.comm(target.pid(), tid).value_or("")});
  }
  return it->second.index;
}

void Roster::name_thread(Target& target, Tid tid, std::uint64_t thread_id) {
  const auto it = threads_.find(tid);
  if (it == threads_.end() || it->second.named) return;
  const std::string name = target.thread_name(thread_id);
  if (name.empty()) return;
  it->second.named = true;
  queue_.push(ThreadRecord{it->second.index, target.index(), tid, name});
}

}  // namespace memspy::sampler

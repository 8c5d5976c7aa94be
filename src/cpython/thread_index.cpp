#include "cpython/thread_index.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace memspy::cpython {
namespace {

constexpr std::size_t kMaxWithoutState = 1 << 16;  // then forgotten, and asked again
constexpr Slot kWord{0, sizeof(std::uint64_t)};

}  // namespace

ThreadIndex::ThreadIndex(const Interpreter& interpreter, const MemoryReader& memory)
    : interpreter_(&interpreter),
      memory_(&memory),
      views_(interpreter.layout(), interpreter.anchors()),
      copy_(memory) {}

std::uint64_t ThreadIndex::thread_id_of(RemoteAddr state) const {
  const auto found = thread_of_.find(state);
  return found == thread_of_.end() ? 0 : found->second;
}

RemoteAddr ThreadIndex::find(std::uint64_t thread_id) {
  if (several_interpreters_) return find_anew(thread_id);
  const auto known = by_thread_.find(thread_id);
  if (known != by_thread_.end()) return known->second.address;
  // A state is listed under its maker's id until the new thread has put its own there, and nothing
  // else tells when: a thread without one is looked for again, ever less often.
  const auto without = without_state_.find(thread_id);
  if (without != without_state_.end() && !std::has_single_bit(++without->second) && nothing_added())
    return {};
  return find_anew(thread_id);
}

RemoteAddr ThreadIndex::find_anew(std::uint64_t thread_id) {
  walk_list();
  const RemoteAddr state = choose(thread_id);
  if (!state) without_state_.try_emplace(thread_id, 0);
  return state;
}

void ThreadIndex::walk_list() {
  by_thread_.clear();
  thread_of_.clear();
  if (!nothing_added() || without_state_.size() > kMaxWithoutState) without_state_.clear();
  heads_.clear();
  heads_seen_.reset();
  several_interpreters_ = false;
  const auto states = interpreter_->threads(*memory_);
  if (!states.has_value()) return;
  for (const ThreadState& state : states.value()) {
    by_thread_.emplace(state.thread_id, state);
    thread_of_.emplace(state.address, state.thread_id);
  }
  note_heads(states.value());
}

void ThreadIndex::note_heads(const std::vector<ThreadState>& states) {
  for (const ThreadState& state : states) {
    const bool listed = std::any_of(heads_.begin(), heads_.end(), [&](const ListHead& head) {
      return head.interpreter == state.interpreter;
    });
    if (!listed) heads_.push_back({state.interpreter, state.address});
  }
  several_interpreters_ = heads_.size() > 1;
  heads_seen_ = read_heads();
  if (!heads_seen_) return;
  // A state added during the walk may be missing from it: then the heads are not those of the walk.
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    if ((*heads_seen_)[2 * i] != heads_[i].state.value) return heads_seen_.reset();
  }
}

std::optional<std::vector<std::uint64_t>> ThreadIndex::read_heads() {
  const Layout& layout = interpreter_->layout();
  std::vector<RemoteAddr> words;
  for (const ListHead& head : heads_) {
    words.push_back(head.interpreter + layout.offset(Field::kInterpreterThreadsHead));
    const Field id = layout.has(Field::kThreadId) ? Field::kThreadId : Field::kThreadThreadId;
    words.push_back(head.state + layout.offset(id));
  }
  if (const RemoteAddr newest = interpreter_->anchors().interpreters_head) words.push_back(newest);
  copy_.clear();
  for (const RemoteAddr word : words) copy_.want(word, kWord.width);
  copy_.fetch();
  std::vector<std::uint64_t> values;
  for (const RemoteAddr word : words) {
    const auto bytes = copy_.find(word, kWord.width);
    if (bytes.empty()) return std::nullopt;
    values.push_back(field_of(bytes, kWord));
  }
  return values;
}

bool ThreadIndex::nothing_added() { return heads_seen_ && read_heads() == heads_seen_; }

bool ThreadIndex::runs_python(const ThreadState& state) {
  copy_.clear();
  views_.want(copy_, state.address);
  copy_.fetch();
  const auto view = views_.find(copy_, state.address);
  if (!view) return false;
  views_.want_behind(copy_, *view);
  copy_.fetch();
  const auto frame = views_.innermost_frame(copy_, *view);
  return frame && *frame;
}

// One thread may have a state in several interpreters, and be in one of them: the one that holds
// the GIL, else the newest one entered, whose frames are on top of the others' on the C stack.
RemoteAddr ThreadIndex::choose(std::uint64_t thread_id) {
  const auto [first, last] = by_thread_.equal_range(thread_id);
  if (first == last) return {};
  if (std::next(first) == last) return first->second.address;
  const ThreadState* best = nullptr;
  auto best_rank = std::pair<int, std::int64_t>(-1, 0);
  for (auto it = first; it != last; ++it) {
    const ThreadState& state = it->second;
    const int liveness = state.holds_gil ? 2 : runs_python(state) ? 1 : 0;
    const auto rank = std::pair<int, std::int64_t>(liveness, state.interpreter_id);
    if (best == nullptr || rank > best_rank) {
      best = &state;
      best_rank = rank;
    }
  }
  return best->address;
}

}  // namespace memspy::cpython

#include "cli/top_keys.h"

#include <algorithm>
#include <array>
#include <optional>

namespace memspy::cli {
namespace {

constexpr std::array kRefreshSeconds{0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0};

void set_thread(TopState& state, const ThreadRecord* thread) {
  state.query.thread.reset();
  state.thread_name.clear();
  if (thread == nullptr) return;
  state.query.thread = thread->index;
  state.thread_name = thread->name;
}

// Through all threads and "all of them", in both directions.
void step_thread(TopState& state, const std::vector<ThreadRecord>& threads, int step) {
  const int count = static_cast<int>(threads.size());
  if (count == 0) return;
  int at = count;  // all
  for (int i = 0; i < count; ++i)
    if (state.query.thread && threads[static_cast<std::size_t>(i)].index == *state.query.thread)
      at = i;
  at = (at + step + count + 1) % (count + 1);
  set_thread(state, at == count ? nullptr : &threads[static_cast<std::size_t>(at)]);
}

void step_sort(TopState& state, int step) {
  const int next = (static_cast<int>(state.query.sort) + step + kTopSortCount) % kTopSortCount;
  state.query.sort = static_cast<TopSort>(next);
}

void step_refresh(TopState& state, int step) {
  const auto at = std::lower_bound(kRefreshSeconds.begin(), kRefreshSeconds.end(),
                                   state.refresh_seconds - 1e-9);
  const auto last = static_cast<std::ptrdiff_t>(kRefreshSeconds.size()) - 1;
  const auto index = std::clamp<std::ptrdiff_t>(at - kRefreshSeconds.begin() + step, 0, last);
  state.refresh_seconds = kRefreshSeconds[static_cast<std::size_t>(index)];
}

// The keys that mean something else, or only something, while the heap is on the screen. nullopt:
// as ever.
std::optional<TopAction> handle_census_key(int key, TopState& state) {
  switch (key) {
    case 'h':
    case kKeyEscape:
      state.census = false;
      state.scroll = 0;
      return TopAction::kNone;
    case kKeyEnter:
      return TopAction::kTakeCensus;
    case 'L':
      state.census_by_owner = !state.census_by_owner;
      state.scroll = 0;
      return TopAction::kNone;
    default:
      return std::nullopt;
  }
}

}  // namespace

bool edit_filter(int key, TopState& state) {
  if (key == kKeyEnter || key == kKeyEscape) {
    if (key == kKeyEnter) state.query.filter = state.filter_text;
    state.editing_filter = false;
    return true;
  }
  if (key == kKeyBackspace || key == 127) {
    if (!state.filter_text.empty()) state.filter_text.pop_back();
  } else if (key >= ' ' && key < 127) {
    state.filter_text += static_cast<char>(key);
  }
  return false;
}

TopAction handle_key(int key, TopState& state, const std::vector<ThreadRecord>& threads) {
  if (key == kKeyNone || key == kKeyResize) return TopAction::kNone;
  if (state.editing_filter) {
    edit_filter(key, state);
    return TopAction::kNone;
  }
  state.message.clear();
  if (state.help) {
    state.help = false;
    return TopAction::kNone;
  }
  if (state.census) {
    if (const auto action = handle_census_key(key, state)) return *action;
  }
  if (key >= '1' && key < '1' + kTopSortCount) {
    state.query.sort = static_cast<TopSort>(key - '1');
    return TopAction::kNone;
  }
  switch (key) {
    case 'q':
    case kKeyEscape:
      return TopAction::kLeave;
    case '?':
      state.help = true;
      break;
    case 's':
      step_sort(state, 1);
      break;
    case 'S':
      step_sort(state, -1);
      break;
    case ' ':
    case 'p':
      state.paused = !state.paused;
      break;
    case 'r':
      state.message = "figures count from now";
      return TopAction::kResetBaseline;
    case '/':
      state.editing_filter = true;
      state.filter_text = state.query.filter;
      break;
    case 'c':
      state.query.filter.clear();
      break;
    case 't':
      if (state.query.thread) {
        set_thread(state, nullptr);
      } else if (!threads.empty()) {
        set_thread(state, &threads.front());
      }
      break;
    case '<':
      step_thread(state, threads, -1);
      break;
    case '>':
      step_thread(state, threads, 1);
      break;
    case 'L':
      state.query.by_line = !state.query.by_line;
      break;
    case '+':
      step_refresh(state, 1);
      break;
    case '-':
      step_refresh(state, -1);
      break;
    case kKeyUp:
      state.scroll -= state.scroll > 0 ? 1 : 0;
      break;
    case kKeyDown:
      ++state.scroll;
      break;
    case 'h':
      state.census = true;
      state.scroll = 0;
      return TopAction::kTakeCensus;
    case 'w':
      return TopAction::kWriteRecording;
    default:
      break;
  }
  return TopAction::kNone;
}

}  // namespace memspy::cli

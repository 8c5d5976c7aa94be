#include "cli/top_loop.h"

#include <algorithm>

#include "cli/process_list.h"
#include "cli/process_watch.h"
#include "cli/signals.h"
#include "cli/top_census.h"
#include "cli/top_keys.h"
#include "cli/top_session.h"

namespace memspy::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSlice{100};  // how soon a signal or the target's end is seen
constexpr std::chrono::seconds kListRefresh{2};

enum class Leave { kBack, kSignal };

TopState initial_state(const TopOptions& options) {
  TopState state;
  state.query.by_line = !options.functions;
  if (options.sampling.interval)
    state.refresh_seconds = std::chrono::duration<double>(*options.sampling.interval).count();
  return state;
}

// One process on the screen.
class ProcessScreen {
 public:
  ProcessScreen(TopSession& session, TopTerminal& terminal, const TopOptions& options, Env& env)
      : session_(&session),
        terminal_(&terminal),
        env_(&env),
        state_(initial_state(options)),
        taker_(session, options.sampling, env) {
    state_.message = session.start_note();
  }

  Leave run() {
    while (SignalScope::stop_reason() == nullptr) {
      follow_census();
      draw_if_due();
      const int key = terminal_->read_key(kSlice);
      if (key == kKeyNone) continue;
      if (press(key)) return Leave::kBack;
      due_ = true;
    }
    return Leave::kSignal;
  }

 private:
  void follow_census() {
    if (!taker_.busy()) return;
    due_ = true;
    state_.census_progress = taker_.progress();
    auto taken = taker_.poll();
    if (!taken) return;
    state_.census_progress.clear();
    if (taken->has_value()) {
      state_.heap = std::make_shared<const TopCensus>(std::move(*taken).value());
      return;
    }
    state_.message = "heap census: " + describe(taken->error());
    if (!taken->error().why.empty()) state_.message += ": " + taken->error().why;
    if (state_.heap == nullptr) state_.census = false;
  }

  void draw_if_due() {
    if (session_->ended() && state_.ended_by.empty()) {
      state_.ended_by = session_->ended_by();
      due_ = true;
    }
    const SteadyTime now = env_->clock.now();
    if (!due_ && std::chrono::duration<double>(now - drawn_).count() < state_.refresh_seconds)
      return;
    drawn_ = now;
    due_ = false;
    auto view = session_->view();
    terminal_->draw(top_screen(frozen_ ? *frozen_ : view.model, session_->head(), state_,
                               terminal_->width(), terminal_->height()));
  }

  // True: leave.
  bool press(int key) {
    auto view = session_->view();
    const bool was_paused = state_.paused;
    const TopAction action = handle_key(key, state_, view.model.profile().threads);
    if (action == TopAction::kResetBaseline) {
      view.model.reset_baseline();
      taker_.reset_baseline();
    }
    const bool show_reset = action == TopAction::kResetBaseline && state_.paused;
    if (show_reset || (state_.paused && !was_paused)) frozen_ = view.model;
    if (!state_.paused) frozen_.reset();
    view.lock.unlock();
    if (action == TopAction::kWriteRecording) {
      const auto path = session_->write_recording();
      state_.message = path.has_value() ? "wrote " + *path : describe(path.error());
    }
    if (action == TopAction::kTakeCensus) take_census();
    return action == TopAction::kLeave;
  }

  void take_census() {
    if (session_->ended()) {
      state_.message = "heap census: the process has ended";
      state_.census = state_.heap != nullptr;
      return;
    }
    taker_.start();
    state_.census_progress = taker_.progress();
  }

  TopSession* session_;
  TopTerminal* terminal_;
  Env* env_;
  TopState state_;
  CensusTaker taker_;
  std::optional<TopModel> frozen_;  // while the view is paused
  SteadyTime drawn_{};
  bool due_ = true;
};

// Every Python process of the host; Enter goes into one, Escape comes back.
class ListScreen {
 public:
  ListScreen(TopTerminal& terminal, const TopOptions& options, Env& env)
      : terminal_(&terminal), options_(&options), env_(&env), watch_(env) {}

  void run() {
    SteadyTime refreshed = env_->clock.now() - kListRefresh;
    while (SignalScope::stop_reason() == nullptr) {
      if (env_->clock.now() - refreshed >= kListRefresh) {
        watch_.refresh();
        refreshed = env_->clock.now();
      }
      draw();
      if (!press(terminal_->read_key(kSlice))) return;
    }
  }

 private:
  void draw() {
    shown_ = watch_.rows();
    std::erase_if(shown_, [&](const ProcessRow& row) {
      return row.command.find(state_.query.filter) == std::string::npos;
    });
    selected_ = std::min(selected_, shown_.empty() ? 0 : shown_.size() - 1);
    const std::string message =
        state_.editing_filter ? "filter: " + printable(state_.filter_text) + "_" : state_.message;
    terminal_->draw(
        process_screen(shown_, selected_, message, terminal_->width(), terminal_->height()));
  }

  // False: leave.
  bool press(int key) {
    if (key == kKeyNone || key == kKeyResize) return true;
    if (state_.editing_filter) {
      edit_filter(key, state_);
      return true;
    }
    state_.message.clear();
    switch (key) {
      case 'q':
      case kKeyEscape:
        return false;
      case kKeyEnter:
        return enter();
      case kKeyUp:
        selected_ -= selected_ > 0 ? 1 : 0;
        break;
      case kKeyDown:
        ++selected_;
        break;
      case '/':
        state_.editing_filter = true;
        state_.filter_text = state_.query.filter;
        break;
      case 'c':
        state_.query.filter.clear();
        break;
      default:
        break;
    }
    return true;
  }

  bool enter() {
    if (shown_.empty()) return true;
    auto session = TopSession::start(shown_[selected_].pid, options_->sampling, *env_);
    if (!session) {
      state_.message = describe(session.error()) + ": " + session.error().why;
      return true;
    }
    return ProcessScreen(**session, *terminal_, *options_, *env_).run() == Leave::kBack;
  }

  TopTerminal* terminal_;
  const TopOptions* options_;
  Env* env_;
  ProcessWatch watch_;
  std::vector<ProcessRow> shown_;  // those that pass the filter
  TopState state_;                 // filter and message only
  std::size_t selected_ = 0;
};

// False when it is time to end: a signal, a closed stdout, or `done`.
template <typename Done>
bool wait_refresh(double seconds, const Done& done, Env& env) {
  env.out.flush();
  const auto until = std::chrono::duration<double>(seconds);
  for (std::chrono::nanoseconds waited{0}; waited < until; waited += kSlice) {
    if (SignalScope::stop_reason() != nullptr || !env.out.good() || done()) return false;
    env.sleep(std::min<std::chrono::nanoseconds>(
        kSlice, std::chrono::duration_cast<std::chrono::nanoseconds>(until) - waited));
  }
  return true;
}

Result<ExitCode> batch_list(const TopOptions& options, Env& env) {
  ProcessWatch watch(env);
  const TopState state = initial_state(options);
  for (std::uint64_t i = 0; options.repeats == 0 || i < options.repeats; ++i) {
    if (i > 0 && !wait_refresh(
                     state.refresh_seconds, [] { return false; }, env))
      break;
    const auto& rows = watch.refresh();
    if (options.json) {
      env.out << json_text(process_list_json(rows)) << '\n';
    } else {
      for (const std::string& line : process_table(rows, 0)) env.out << line << '\n';
    }
  }
  return ExitCode::kOk;
}

void print(TopSession& session, const TopOptions& options, const TopState& state, Env& env) {
  const auto view = session.view();
  if (options.json) {
    env.out << json_text(top_json(view.model, session.head(), state, options.rows)) << '\n';
  } else {
    env.out << top_text(view.model, session.head(), state, options.rows) << '\n';
  }
}

}  // namespace

Result<ExitCode> run_top_screen(const TopOptions& options, TopTerminal& terminal, Env& env) {
  const SignalScope signals;
  if (!options.target.pid) {
    ListScreen(terminal, options, env).run();
    return ExitCode::kOk;
  }
  MEMSPY_TRY(session, TopSession::start(*options.target.pid, options.sampling, env));
  ProcessScreen(*session, terminal, options, env).run();
  if (const auto error = session->error()) return *error;
  return ExitCode::kOk;
}

Result<ExitCode> run_top_batch(const TopOptions& options, Env& env) {
  const SignalScope signals;
  if (!options.target.pid) return batch_list(options, env);
  MEMSPY_TRY(session, TopSession::start(*options.target.pid, options.sampling, env));
  if (const std::string note = session->start_note(); !note.empty()) say(env, note);
  const TopState state = initial_state(options);
  std::chrono::nanoseconds shown{0};
  for (std::uint64_t i = 0; options.repeats == 0 || i < options.repeats; ++i) {
    bool on = wait_refresh(
        state.refresh_seconds, [&] { return session->ended(); }, env);
    // The session's ticks are not this loop's: a refresh shows what the last one did not.
    if (on && i > 0 && session->last_tick() == shown)
      on = wait_refresh(
          state.refresh_seconds,
          [&] { return session->ended() || session->last_tick() != shown; }, env) ||
           !session->ended();
    if (!env.out.good()) break;
    const auto tick = session->last_tick();
    if (i > 0 && tick == shown && !on) break;
    shown = tick;
    print(*session, options, state, env);
    if (!on) break;
  }
  if (session->ended()) {
    say(env, "ended: " + session->ended_by());
    if (const auto error = session->error()) return *error;
  }
  return ExitCode::kOk;
}

}  // namespace memspy::cli

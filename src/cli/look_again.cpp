#include "cli/look_again.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "cli/hints.h"
#include "cli/signals.h"

namespace memspy::cli {
namespace {

constexpr std::chrono::nanoseconds kSignalCheck = std::chrono::milliseconds(100);

// False when a signal asked for the end.
bool wait(std::chrono::nanoseconds time, Env& env) {
  for (; time.count() > 0; time -= std::min(time, kSignalCheck)) {
    if (SignalScope::stop_reason() != nullptr) return false;
    env.sleep(std::min(time, kSignalCheck));
  }
  return SignalScope::stop_reason() == nullptr;
}

}  // namespace

Result<Unit> look_again(Pid pid, std::chrono::nanoseconds time, Env& env,
                        const std::function<Result<bool>()>& look) {
  const SignalScope signals;
  while (wait(time, env)) {
    const auto more = look();
    if (!more.has_value()) {
      const Errc code = more.error().code;
      if (code != Errc::kNoSuchProcess && code != Errc::kTargetGone) return more.error();
      say(env, fmt::format("PID {} has ended", pid.value));
      return Unit{};
    }
    if (!more.value()) break;
  }
  return Unit{};
}

}  // namespace memspy::cli

#include "daemon/run_child.h"

#include <poll.h>

#include <algorithm>

#include "base/clock.h"

namespace memspy::daemon {

Result<int> run_child(const ChildOptions& options, const std::string& input,
                      std::chrono::nanoseconds patience, const std::atomic<bool>& ending,
                      std::string* printed) {
  using namespace std::chrono;
  constexpr milliseconds kTurn{20};
  const auto deadline = steady_clock::now() + patience;
  MEMSPY_TRY(child, ChildProcess::start(options));
  std::string left = input;
  for (;;) {
    left.erase(0, child.write_some(left));
    if (left.empty()) child.close_input();
    const auto status = child.ended();
    std::string ignored;
    // After its end too: what it printed last is still in the pipe.
    if (child.output_fd() >= 0) (void)child.read_some(printed != nullptr ? *printed : ignored);
    if (status) return *status;
    const auto rest = ceil<milliseconds>(deadline - steady_clock::now());
    if (rest <= milliseconds(0) || ending)
      return make_error(Errc::kTimeout, "it took too long, and was killed");
    pollfd end{child.end_fd(), POLLIN, 0};
    ::poll(&end, 1, static_cast<int>(std::min(rest, kTurn).count()));
  }
}

}  // namespace memspy::daemon

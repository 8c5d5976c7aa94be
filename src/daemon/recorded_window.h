// What the shelf has of one target in a window of time, put together from its segments. Also of
// segments that are being written, or that a crash cut short.
//
// Any thread; nothing is kept between calls. Segments may be removed meanwhile: what is gone is not
// in the result.
#pragma once

#include <chrono>
#include <string>

#include "memspy/process.h"
#include "memspy/result.h"
#include "memspy/sample_sink.h"
#include "recording/profile.h"

namespace memspy::daemon {

// Since the Unix epoch.
struct WallWindow {
  std::chrono::nanoseconds from{}, to{};
};

// What a recording is summed up in when it is told by these.
recording::Profile empty_profile(WallWindow window);

// Growth with its stacks; empty when it was not traced then.
Result<recording::Profile> load_growth(const std::string& state_dir, const ProcessIdentity& target,
                                       WallWindow window);
// The cheap figures.
Result<recording::Profile> load_series(const std::string& state_dir, const ProcessIdentity& target,
                                       WallWindow window);
// The whole of it, growth and series in one recording whose start is `window.from`; on_header
// first. A segment that begins before the window is told from its beginning, at negative times.
Result<Unit> tell_recorded(const std::string& folder, const ProcessIdentity& target,
                           WallWindow window, SampleSink& sink);

}  // namespace memspy::daemon

// All that is recorded of one target in a window of time: growth with its stacks and the cheap
// figures, as one run from its header to its end. What grew while no tracer was at work is said as
// gaps.
//
// Any thread; nothing is kept between calls.
#pragma once

#include <string>

#include "daemon/recorded_window.h"

namespace memspy::daemon {

// kHistory: the figures of a time that is longer ago than all else, a point a minute.
enum class Recorded { kAll, kSeries, kHistory };

// Nothing is told when nothing is recorded. As with tell_recorded(), what is before the window has
// negative times. Returns the window of which the run is: it begins with the process, where that
// began later.
Result<WallWindow> tell_window(const std::string& state_dir, const ProcessIdentity& target,
                               WallWindow window, Recorded what, SampleSink& sink);

// All of it as a profile, with its timeline.
Result<recording::Profile> load_window(const std::string& state_dir, const ProcessIdentity& target,
                                       WallWindow window);

}  // namespace memspy::daemon

#include "sampler/live/live_pulse.h"

#include <algorithm>
#include <cmath>

namespace memspy::sampler {
namespace {

constexpr double kMemory = 1;      // seconds, of the moving average
constexpr double kLeastTaken = 4;  // blocks that are a sign, where signs were right so far
constexpr double kLeastTrust = 1.0 / 64;

}  // namespace

bool LivePulse::shows(const Class& of) {
  return static_cast<double>(of.taken) * of.trust >= kLeastTaken;
}

void LivePulse::note(const Blocks& taken, double seconds) {
  if (seconds <= 0) return;
  const double newest = 1 - std::exp(-seconds / kMemory);
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    Class& of = classes_[c];
    of.taken += taken[c];
    of.rate += newest * (static_cast<double>(taken[c]) / seconds - of.rate);
  }
}

void LivePulse::note_pass(const Blocks& grown) {
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    Class& of = classes_[c];
    if (grown[c] > 0) {
      of.trust = 1;
    } else if (shows(of)) {
      of.trust = std::max(kLeastTrust, of.trust / 2);
    }
    of.taken = 0;
  }
}

double LivePulse::rate(std::uint32_t size_class) const {
  const Class& of = classes_[size_class];
  return shows(of) ? std::max(of.rate, 0.0) : 0;
}

}  // namespace memspy::sampler

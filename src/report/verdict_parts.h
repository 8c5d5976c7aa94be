// What the sentences of all modes are made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "recording/shaped.h"

namespace memspy::report {

struct Culprit {
  std::string text;  // "load (app.py:12)" or "load (app.py), most of it at line 12,"
  std::uint64_t bytes = 0;
};

struct Charges {
  std::vector<Culprit> culprits;  // the largest first
  std::uint64_t inherited_bytes = 0;
};

Charges charges(const recording::ShapedProfile& shaped);

// The verdict of a run in mode live.
std::string live_verdict(const recording::Profile& profile, const recording::StackShape& shape);

}  // namespace memspy::report

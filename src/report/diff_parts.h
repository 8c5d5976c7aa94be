// What the texts of a comparison have in common.
#pragma once

#include <string>
#include <vector>

#include "report/diff.h"

namespace memspy::report {

inline constexpr double kTimeWorthAWord = 5000;  // microseconds per second: half a percent
// Chance often moves one of many functions by two of its standard errors, and seldom by three.
inline constexpr double kClearErrors = 3;

// Of the rate of what no sample tells of in these runs, both together.
double error_of_nothing(const Diff& diff);
// The row of which the rate has clearly changed, and most; nullptr: none.
const DiffRow* most_changed(const Diff& diff, bool up);
// Rows of which that is true, the fastest first.
std::vector<const DiffRow*> rows_in_every(const Diff& diff);

// The sentences of mode alloc.
std::string time_diff_verdict(const Diff& diff);
std::string time_diff_advice(const Diff& diff);

}  // namespace memspy::report

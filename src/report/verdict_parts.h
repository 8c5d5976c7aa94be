// What the sentences of all modes are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "recording/shaped.h"

namespace memspy::report {

// Samples, or blocks that were watched: fewer tell nothing of shares.
inline constexpr std::uint64_t kFewForShares = 20;
// What is told besides the first culprit.
inline constexpr double kNextShare = 0.05;    // a line below is not worth a word
inline constexpr std::size_t kNextCount = 3;  // in modes live and alloc

struct Culprit {
  std::string text;          // "load (app.py:12)" or "load (app.py), most of it at line 12,"
  std::uint64_t amount = 0;  // of the stacks' measure
};

struct Charges {
  std::vector<Culprit> culprits;  // the largest first
  std::uint64_t inherited_bytes = 0;
};

Charges charges(const recording::ShapedProfile& shaped);
// "; load (app.py:12) 31 %" for each of the next `count` behind the first that is worth a word.
std::string next_culprits(const std::vector<Culprit>& culprits, std::uint64_t total,
                          std::size_t count = kNextCount);

// Of the stacks that culprits are found in: by line, whatever is shown.
recording::StackShape by_lines(recording::StackShape shape);

// The verdict of a run in mode live.
std::string live_verdict(const recording::Profile& profile, const recording::StackShape& shape);

// …and of its temporaries.
std::string temporary_verdict(const recording::Profile& profile,
                              const recording::StackShape& shape);

// …and in mode alloc: a share of time, never bytes.
std::string alloc_verdict(const recording::Profile& profile, const recording::StackShape& shape);

}  // namespace memspy::report

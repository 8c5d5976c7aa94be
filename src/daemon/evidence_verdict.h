// The text of a bundle's verdict.txt: where to begin.
//
// Pure.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace memspy::daemon {

// What the bundle of an earlier alert of the same process said.
struct EarlierVerdict {
  std::string folder, alert;
  std::chrono::nanoseconds time{};  // since the epoch
  std::string text;                 // all of its verdict.txt
};

// `own`: a line for each of the bundle's files that has a verdict. `earlier`: the newest first;
// empty while the process can still be looked at. Of one that has ended the last look at its heap
// comes first: who touched its pages may have worked beside the one who kept what is on them.
std::string verdict_text(const std::string& own, const std::vector<EarlierVerdict>& earlier);

// Of such a text, what it says of who keeps the heap, by mode live or else by the census, without
// the file's name; "" nothing. A page of growth knows who touched pages first.
std::string lead_of(const std::string& verdict_text);

}  // namespace memspy::daemon

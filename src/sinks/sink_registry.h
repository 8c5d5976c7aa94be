// Every format that memspy derives from a recording, in one table: `--format` and its help, and the
// suffix of `-o`, come from here. A live run's outputs are made the same way, from its recording.
#pragma once

#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/result.h"
#include "recording/profile.h"

namespace memspy::sinks {

// The sentences of a run, for formats that people look at. Sinks know none: who asks for a format
// gives the way to find them, for stacks of the shape that the format shows.
struct RunWords {
  std::string title, verdict, evidence;
  std::string loss;  // what is missing of the run; "": nothing
};
using FindWords = std::function<RunWords(const recording::Profile&, const recording::StackShape&)>;

struct FormatOptions {
  recording::StackShape shape;
  recording::Amount amount = recording::Amount::kNet;
  FindWords words;  // empty: there are none
};

enum class FormatKind {
  kStacks,     // a profile
  kSeries,     // a time series
  kRecording,  // the recording itself: nothing to derive, `write` is nullptr
};

struct Format {
  std::string_view name;
  std::vector<std::string_view> suffixes;  // the first is the usual one
  std::string_view help;
  FormatKind kind;
  // kOutput when the stream fails.
  Result<Unit> (*write)(const recording::Profile&, const FormatOptions&, std::ostream&);
  recording::Timeline timeline = recording::Timeline::kNone;  // what a profile must have for it
};

std::span<const Format> formats();
const Format* find_format(std::string_view name);  // nullptr: none
const Format* find_format_for(
    std::string_view path);  // by suffix, the longest that fits; nullptr: none

}  // namespace memspy::sinks

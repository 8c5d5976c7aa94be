#include "sinks/sink_registry.h"

#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

const std::vector<Format>& format_table() {
  static const std::vector<Format> kTable = {
      {"folded",
       {".folded", ".collapsed"},
       "a;b;c BYTES per line: flamegraph.pl, inferno, speedscope",
       FormatKind::kStacks,
       write_folded},
      {"speedscope",
       {".speedscope.json", ".speedscope"},
       "a profile for speedscope.app",
       FormatKind::kStacks,
       write_speedscope},
      {"pprof", {".pb.gz"}, "a profile for go tool pprof", FormatKind::kStacks, write_pprof},
      {"html",
       {".html", ".htm"},
       "one page to look at: verdict, time series, flame graph, tables",
       FormatKind::kStacks,
       write_html,
       recording::Timeline::kKeep},
      {"svg", {".svg"}, "an interactive flame graph", FormatKind::kStacks, write_svg},
      {"json",
       {".json"},
       "profile and summary, schema memspy.profile/1",
       FormatKind::kStacks,
       write_json},
      {"csv", {".csv"}, "the time series, units in the header", FormatKind::kSeries, write_csv},
      {"jsonl",
       {".jsonl", ".ndjson"},
       "the time series, an object per line, schema memspy.series/1",
       FormatKind::kSeries,
       write_jsonl},
      {"recording",
       {".memspy"},
       "everything of the run; report and diff read it",
       FormatKind::kRecording,
       nullptr},
  };
  return kTable;
}

}  // namespace

std::span<const Format> formats() { return format_table(); }

const Format* find_format(std::string_view name) {
  for (const auto& format : format_table()) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

const Format* find_format_for(std::string_view path) {
  const Format* best = nullptr;
  std::size_t length = 0;
  for (const auto& format : format_table()) {
    for (const auto suffix : format.suffixes) {
      if (suffix.size() > length && path.ends_with(suffix)) {
        best = &format;
        length = suffix.size();
      }
    }
  }
  return best;
}

Result<Unit> check_stream(const std::ostream& out) {
  if (out.good()) return Unit{};
  return make_error(Errc::kOutput, "the output cannot be written");
}

}  // namespace memspy::sinks

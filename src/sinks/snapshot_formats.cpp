#include "sinks/snapshot_formats.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "recording/summary_json.h"
#include "recording/text.h"
#include "sinks/owner_stacks.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

using nlohmann::ordered_json;
using snapshot::Look;

const std::vector<SnapshotFormat>& snapshot_format_table() {
  static const std::vector<SnapshotFormat> kTable = {
      {"heapsnapshot",
       {".heapsnapshot"},
       "every object and reference: Chrome DevTools, VS Code, memlab",
       write_heapsnapshot},
      {"html",
       {".html", ".htm"},
       "one page to look at: types, owners, where every byte is",
       write_heap_html},
      {"svg", {".svg"}, "who holds the heap, as an interactive flame graph", write_owner_svg},
      {"pprof",
       {".pb.gz", ".pprof"},
       "who holds the heap, as stacks: go tool pprof",
       write_owner_pprof},
      {"folded",
       {".folded", ".collapsed"},
       "the same, a;b;c BYTES per line: flamegraph.pl, inferno, speedscope",
       write_owner_folded},
      {"speedscope",
       {".speedscope.json", ".speedscope"},
       "the same, in bytes and in objects, for speedscope.app",
       write_owner_speedscope},
  };
  return kTable;
}

ordered_json sampled(const OwnerStacks& stacks, const char* name, const char* unit,
                     std::uint64_t OwnerStack::*weight) {
  auto samples = ordered_json::array();
  auto weights = ordered_json::array();
  std::uint64_t total = 0;
  for (const OwnerStack& stack : stacks.stacks) {
    samples.push_back(stack.frames);
    weights.push_back(stack.*weight);
    total += stack.*weight;
  }
  return {{"type", "sampled"},
          {"name", name},
          {"unit", unit},
          {"startValue", 0},
          {"endValue", total},
          {"samples", std::move(samples)},
          {"weights", std::move(weights)}};
}

}  // namespace

std::span<const SnapshotFormat> snapshot_formats() { return snapshot_format_table(); }

const SnapshotFormat* find_snapshot_format(std::string_view name) {
  for (const auto& format : snapshot_format_table())
    if (format.name == name) return &format;
  return nullptr;
}

const SnapshotFormat* find_snapshot_format_for(std::string_view path) {
  for (const auto& format : snapshot_format_table())
    for (const auto suffix : format.suffixes)
      if (path.ends_with(suffix)) return &format;
  return nullptr;
}

Result<Unit> write_owner_folded(const Look& look, const SnapshotFormatOptions&, std::ostream& out) {
  const OwnerStacks stacks = owner_stacks(look);
  std::vector<std::string> names, lines;
  for (const std::string& frame : stacks.frames)
    names.push_back(recording::escape_text(frame, ";\\"));
  for (const OwnerStack& stack : stacks.stacks) {
    std::string line;
    for (const auto frame : stack.frames) line.append(line.empty() ? "" : ";").append(names[frame]);
    lines.push_back(line + " " + std::to_string(stack.bytes) + "\n");
  }
  std::sort(lines.begin(), lines.end());
  for (const auto& line : lines) out << line;
  out.flush();
  return check_stream(out);
}

Result<Unit> write_owner_speedscope(const Look& look, const SnapshotFormatOptions&,
                                    std::ostream& out) {
  const OwnerStacks stacks = owner_stacks(look);
  auto frames = ordered_json::array();
  for (const std::string& frame : stacks.frames)
    frames.push_back({{"name", recording::escape_text(frame)}});
  const auto& header = look.snapshot->header;
  ordered_json document{{"$schema", "https://www.speedscope.app/file-format-schema.json"},
                        {"version", "0.0.1"}};
  document["shared"] = {{"frames", std::move(frames)}};
  document["profiles"] =
      ordered_json::array({sampled(stacks, "bytes held", "bytes", &OwnerStack::bytes),
                           sampled(stacks, "objects held", "none", &OwnerStack::objects)});
  document["name"] = fmt::format("heap of {}", header.source);
  document["activeProfileIndex"] = 0;
  document["exporter"] = "memspy " + header.memspy_version;
  out << recording::json_text(document);
  out.flush();
  return check_stream(out);
}

}  // namespace memspy::sinks

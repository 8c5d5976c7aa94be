#include <spdlog/fmt/fmt.h>

#include "recording/shaped.h"
#include "recording/summary_json.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

using nlohmann::ordered_json;

std::string profile_name(const recording::Profile& profile, recording::Amount amount) {
  std::string name = "memory growth";
  if (amount == recording::Amount::kGross) name = "memory touched";
  if (amount == recording::Amount::kTemporary) name = "objects that came and went";
  if (profile.measure() == recording::Measure::kMicroseconds) name = "time spent allocating";
  if (const auto* process = profile.find_process({1})) {
    name += fmt::format(" of pid {} ({})", process->identity.pid.value, process->name);
  }
  return fmt::format("{}, engine {}", name, profile.header.engine);
}

ordered_json frames_json(const recording::ShapedProfile& shaped) {
  auto frames = ordered_json::array();
  for (const auto& frame : shaped.frames) {
    ordered_json entry{{"name", frame.text}};
    if (!frame.file.empty()) entry["file"] = frame.file;
    if (frame.line > 0) entry["line"] = frame.line;
    frames.push_back(std::move(entry));
  }
  return frames;
}

}  // namespace

// The reader's contract is its file-format-spec.ts, version 0.0.1: a sampled profile, its samples
// root first, their weights beside them, endValue the sum.
Result<Unit> write_speedscope(const recording::Profile& profile, const FormatOptions& options,
                              std::ostream& out) {
  const auto shaped = recording::shape_stacks(profile, options.shape, options.amount);
  auto samples = ordered_json::array();
  auto weights = ordered_json::array();
  for (const auto& stack : shaped.stacks) {
    samples.push_back(stack.frames);
    weights.push_back(stack.amount);
  }
  const std::string name = profile_name(profile, options.amount);
  ordered_json sampled{
      {"type", "sampled"},
      {"name", name},
      {"unit", recording::word_of(shaped.measure, "bytes", "microseconds", "none")},
      {"startValue", 0},
      {"endValue", shaped.total}};
  sampled["samples"] = std::move(samples);
  sampled["weights"] = std::move(weights);
  ordered_json document{{"$schema", "https://www.speedscope.app/file-format-schema.json"},
                        {"version", "0.0.1"}};
  document["shared"] = {{"frames", frames_json(shaped)}};
  document["profiles"] = ordered_json::array({std::move(sampled)});
  document["name"] = name;
  document["activeProfileIndex"] = 0;
  document["exporter"] = "memspy " + profile.header.memspy_version;
  out << recording::json_text(document);
  out.flush();
  return check_stream(out);
}

}  // namespace memspy::sinks

#include <algorithm>

#include "base/duration.h"
#include "recording/shaped.h"
#include "recording/summary_json.h"
#include "sinks/run_json.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

using nlohmann::ordered_json;
using recording::Profile;

ordered_json processes_json(const Profile& profile) {
  auto list = ordered_json::array();
  for (const auto& process : profile.processes) {
    const auto* parent = profile.find_process(process.parent);
    list.push_back({{"pid", process.identity.pid.value},
                    {"parent_pid",
                     parent == nullptr ? ordered_json() : ordered_json(parent->identity.pid.value)},
                    {"name", process.name},
                    {"python_version", process.python_version},
                    {"executable", process.executable},
                    {"command_line", process.command_line},
                    {"first_seen_seconds", to_seconds(process.first_seen)}});
  }
  return list;
}

std::int64_t microseconds(std::chrono::nanoseconds time) { return time.count() / 1000; }

}  // namespace

Result<Unit> write_json(const Profile& profile, const FormatOptions& options, std::ostream& out) {
  const auto shaped = recording::shape_stacks(profile, options.shape, options.amount);
  ordered_json document;
  document["schema"] = "memspy.profile/1";
  recording::add_run_head(profile, document);
  const std::string unit = recording::unit_name(shaped.measure);
  document["unit"] = unit;
  document["gross"] = options.amount == recording::Amount::kGross;
  document["temporary"] = options.amount == recording::Amount::kTemporary;
  document["total_" + unit] = shaped.total;
  if (shaped.measure == recording::Measure::kMicroseconds)
    document["user_cpu_microseconds"] =
        microseconds(profile.allocating().time) + microseconds(profile.not_allocating().time);
  // That of the run is none of a window; `report --json` has one's figures.
  document["summary"] = profile.summary.has_value() && profile.window.whole()
                            ? recording::summary_json(*profile.summary, profile.header.engine)
                            : ordered_json();
  document["processes"] = processes_json(profile);
  document["gaps"] = gaps_json(profile);
  auto frames = ordered_json::array();
  for (const auto& frame : shaped.frames) {
    frames.push_back({{"name", frame.text},
                      {"function", frame.function},
                      {"file", frame.file},
                      {"line", frame.line},
                      {"kind", kind_name(frame.kind)}});
  }
  document["frames"] = std::move(frames);
  auto stacks = ordered_json::array();
  for (const auto& stack : shaped.stacks) {
    stacks.push_back({{unit, stack.amount}, {"samples", stack.samples}, {"frames", stack.frames}});
  }
  document["stacks"] = std::move(stacks);
  out << recording::json_text(document);
  out.flush();
  return check_stream(out);
}

}  // namespace memspy::sinks

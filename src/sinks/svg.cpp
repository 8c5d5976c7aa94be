// Flame graphs of runs and heaps as SVG.
#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "recording/shaped.h"
#include "sinks/flame_svg.h"
#include "sinks/owner_stacks.h"
#include "sinks/snapshot_formats.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

std::string subject(const recording::Profile& profile, recording::Amount amount) {
  if (profile.measure() == recording::Measure::kMicroseconds) return "Time spent allocating";
  if (amount == recording::Amount::kGross) return "Memory touched";
  if (amount == recording::Amount::kTemporary) return "Objects that came and went";
  return profile.header.mode == "live" ? "Growth of the Python heap" : "Growth of resident memory";
}

}  // namespace

Result<Unit> write_svg(const recording::Profile& profile, const FormatOptions& options,
                       std::ostream& out) {
  const auto shaped = recording::shape_stacks(profile, options.shape, options.amount);
  FlameInput input;
  input.measure = shaped.measure;
  input.title = fmt::format("{} by stack: {}", subject(profile, options.amount),
                            recording::format_amount(shaped.measure, shaped.total));
  if (options.words) input.subtitle = options.words(profile, options.shape).title;
  for (const auto& frame : shaped.frames) {
    input.names.push_back(frame.text);
    input.groups.push_back(frame.file);
  }
  for (const auto& stack : shaped.stacks) input.stacks.push_back({&stack.frames, stack.amount});
  return write_flame_svg(input, out);
}

Result<Unit> write_owner_svg(const snapshot::Look& look, const SnapshotFormatOptions&,
                             std::ostream& out) {
  const OwnerStacks stacks = owner_stacks(look);
  FlameInput input;
  input.title = fmt::format("Who holds the heap of {}: {}", look.snapshot->header.source,
                            format_bytes(stacks.bytes));
  input.names = stacks.frames;
  for (const std::string& name : stacks.frames)
    input.groups.push_back(name.substr(0, name.find('.')));
  for (const OwnerStack& stack : stacks.stacks)
    input.stacks.push_back({&stack.frames, stack.bytes});
  return write_flame_svg(input, out);
}

}  // namespace memspy::sinks

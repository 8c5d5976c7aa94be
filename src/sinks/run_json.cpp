#include "sinks/run_json.h"

#include "base/duration.h"

namespace memspy::sinks {

using nlohmann::ordered_json;

const char* kind_name(FrameKind kind) {
  switch (kind) {
    case FrameKind::kPython:
      return "python";
    case FrameKind::kNative:
      return "native";
    case FrameKind::kMarker:
      break;
  }
  return "marker";
}

ordered_json gaps_json(const recording::Profile& profile) {
  auto list = ordered_json::array();
  for (const auto& gap : profile.gaps) {
    list.push_back({{"time_seconds", to_seconds(gap.time)},
                    {"duration_seconds", to_seconds(gap.duration)},
                    {"reason", gap.reason},
                    {"samples", gap.samples}});
  }
  return list;
}

}  // namespace memspy::sinks

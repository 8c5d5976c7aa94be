// What the documents about a run have in common. Private to sinks.
#pragma once

#include <nlohmann/json.hpp>

#include "recording/profile.h"

namespace memspy::sinks {

const char* kind_name(FrameKind kind);  // "python", "native", "marker"
nlohmann::ordered_json gaps_json(const recording::Profile& profile);

}  // namespace memspy::sinks

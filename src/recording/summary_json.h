// The figures of a run as JSON, the same in every document: docs/json.md.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "recording/profile.h"

namespace memspy::recording {

// The body of `record --json`, schema "memspy.record/1".
nlohmann::ordered_json summary_json(const RunSummary& summary, std::string_view engine);

// What stands at the head of every document about a run: memspy_version, mode, engine,
// engine_reason, start_time, host, kernel, and what could not be read.
void add_run_head(const Profile& profile, nlohmann::ordered_json& document);

// Since when RSS grows; null: that is not known, or it does not. docs/json.md.
nlohmann::ordered_json growth_start_json(const Profile& profile);

// One line. Bytes of names that are not UTF-8 are replaced: JSON has no other way.
std::string json_line(const nlohmann::ordered_json& document);

// json_line with the keys of the first level on lines of their own: large documents stay readable.
std::string json_text(const nlohmann::ordered_json& document);

}  // namespace memspy::recording

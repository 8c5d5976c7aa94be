// The tables of a recording; docs/recording-format.md explains them. A change of meaning raises
// kFormatVersion (recording.h).
#pragma once

#include <cstdint>
#include <string>

namespace memspy::recording {

// PRAGMA application_id: "mspy". Tells file(1) and the reader what the database is.
inline constexpr std::int32_t kApplicationId = 0x6d737079;

// CREATE statements of every table and view, the points' columns as include/memspy/series.h has
// them.
std::string schema_sql();

// "INSERT INTO points(…) VALUES(?,…)": tick, time_ns, process, then every series column in order.
std::string insert_point_sql();

}  // namespace memspy::recording

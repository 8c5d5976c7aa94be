// The tables of native frames, which recordings of format 1 do not have. Private to recording.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "memspy/frame.h"
#include "recording/sqlite_db.h"

namespace memspy::recording {

// By frame. A line is added to `damage` for what cannot be read.
std::unordered_map<std::int64_t, CodeAddress> read_addresses(Database& db,
                                                             std::vector<std::string>& damage);
std::map<FrameId, std::vector<Frame>> read_names(Database& db, std::vector<std::string>& damage);

}  // namespace memspy::recording

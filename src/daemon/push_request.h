// What is asked of a Pyroscope-compatible endpoint for each profile.
#pragma once

#include <string>

#include "daemon/config.h"
#include "daemon/http_post.h"
#include "daemon/recorded_window.h"
#include "daemon/status.h"

namespace memspy::daemon {

// "/ingest?name=…&from=…&until=…&format=pprof", below the path of the configured URL.
std::string push_path(const HttpUrl& base, const PushConfig& config, const TargetFacts& target,
                      WallWindow window);
// The headers that say who pushes: whole lines. kUsage, kUnreadable: the file of a secret.
Result<std::string> push_headers(const PushConfig& config);

}  // namespace memspy::daemon

// The daemon's figures in Prometheus' text format (version 0.0.4), by its naming rules.
#pragma once

#include <string>

#include "daemon/status.h"

namespace memspy::daemon {

inline constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// Labels of a target: service, pid, master_pid, process. At most `most_targets` are told.
std::string metrics_text(const DaemonStatus& status, std::size_t most_targets = 2000);

}  // namespace memspy::daemon

// Traces made by hand, of a small service: what reports and verbs are tested on.
#pragma once

#include "memspy/trace_table.h"
#include "snapshot/snapshot.h"

namespace memspy::testing {

struct TraceSample {
  snapshot::Header header;
  TraceTable table;
};

inline void keep_traces(TraceTable& table, std::uint32_t stack, std::uint32_t count,
                        std::uint64_t bytes, std::uint32_t type) {
  for (std::uint32_t i = 0; i < count; ++i) {
    table.traces.push_back(
        {{0x7f0000000000 + 0x1000 * table.traces.size()}, bytes, stack, 0, type});
    table.traced_bytes += bytes;
  }
}

// `sessions`: how many lines of the log are kept.
inline TraceSample sample_traces(std::uint32_t sessions = 1000) {
  TraceSample sample;
  sample.header.process.pid = Pid{4242};
  sample.header.process_name = "python3";
  sample.header.python_version = "3.11.7";
  sample.header.wall_time = std::chrono::seconds(1700000000);
  sample.header.pause = std::chrono::milliseconds(12);
  sample.header.rss_bytes = 8 << 20;
  TraceTable& table = sample.table;
  table.files = {"/srv/app/app.py", "/srv/app/dépôt;1.py", "/usr/lib/python3.11/json/decoder.py"};
  table.frames = {{0, 12}, {0, 40}, {1, 0}, {2, 353}, {0, 13}, {0, 40}, {0, 12}, {0, 50}};
  table.stacks = {{0, 2, 2}, {2, 1, 1}, {3, 3, 7}, {6, 2, 2}};
  table.types = {"app.Session", "builtins.dict", "builtins.str"};
  keep_traces(table, 0, sessions, 480, 0);
  keep_traces(table, 3, 10, 3000, 1);
  keep_traces(table, 1, 4, 25000, kNoTraceType);
  keep_traces(table, 2, 200, 120, 2);
  table.current_bytes = table.traced_bytes;
  table.peak_bytes = 2 << 20;
  table.claimed = table.traces.size();
  table.frame_limit = 25;
  table.own_bytes = 200000;
  table.found_by = "symbol tracemalloc_traces";
  return sample;
}

}  // namespace memspy::testing

// A snapshot as `memspy heap` prints it: the partition, the ledger of RSS, the verdict.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "report/display.h"
#include "report/heap_census.h"

namespace memspy::report {

struct HeapReportOptions {
  HeapGroup by = HeapGroup::kType;
  HeapSort sort = HeapSort::kBytes;
  std::size_t limit = 20;   // rows of a text; 0: all
  std::size_t largest = 0;  // objects listed one by one
  Style style;
};

std::string heap_text(const snapshot::Look& look, const HeapReportOptions& options,
                      std::string_view verdict);
// Schema "memspy.heap/1": every type, every owner; `groups` besides when grouped by anything else.
nlohmann::ordered_json heap_json(const snapshot::Look& look, const HeapReportOptions& options,
                                 std::string_view verdict);

// Objects one by one, with the way to each.
std::string object_table(const snapshot::Look& look, std::span<const NodeIndex> nodes,
                         const Style& style);

// What makes the figures less than exact, a line each: threads that ran during the copy, objects
// that contradicted themselves. "" for a still and sound picture.
// "" where the copy is of one moment.
std::string moved_threads_text(const snapshot::Header& header);
std::string heap_caveats(const snapshot::Header& header);

// Of the ledger; 0 when there is none.
std::uint64_t unexplained_bytes(const snapshot::Snapshot& snapshot);

// "0x7f3a1c0045d0"
std::string address_text(RemoteAddr address);
// "PID 4242 (python3), Python 3.11.7, 2023-11-14T22:13:20.250Z"
std::string snapshot_title(const snapshot::Header& header);
// pid, name, source, python, time, pause_seconds, moved_threads, rss_bytes.
void add_snapshot_head(const snapshot::Header& header, nlohmann::ordered_json& document);

}  // namespace memspy::report

// The collector as `memspy gc` prints it: generations, garbage, and what a collection would free.
#pragma once

#include <string>
#include <string_view>

#include "report/display.h"
#include "snapshot/diff.h"

namespace memspy::report {

// "the collector is off …", "gc.collect() would free …", or that there is nothing to do.
std::string gc_verdict(const snapshot::Look& look, const snapshot::GarbageTotals& garbage);
std::string gc_text(const snapshot::Look& look, const snapshot::GarbageTotals& garbage,
                    std::size_t limit, const Style& style);
// Schema "memspy.gc/1".
std::string gc_json(const snapshot::Look& look, const snapshot::GarbageTotals& garbage);

// A cycle as its objects refer to each other: "app.Node .next → app.Node .prev → the first".
std::string cycle_text(const snapshot::Snapshot& snapshot, const std::vector<NodeIndex>& cycle);

}  // namespace memspy::report

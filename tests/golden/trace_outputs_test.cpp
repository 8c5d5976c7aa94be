// Every output of traces made by hand, against its text.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "recording/summary_json.h"
#include "report/trace_text.h"
#include "support/golden.h"
#include "support/trace_sample.h"

namespace memspy {
namespace {

using memspy::testing::expect_golden;
using memspy::testing::sample_traces;
using memspy::testing::TraceSample;
using report::TraceGroup;
using report::TraceReportOptions;
using report::TraceView;

TraceView view_of(const TraceSample& sample) { return {&sample.header, &sample.table}; }

TEST(TraceGolden, Table) {
  const TraceSample sample = sample_traces();
  TraceReportOptions options;
  expect_golden("traces/line.txt", trace_text(view_of(sample), options));
  options.by = TraceGroup::kTraceback;
  options.limit = 2;
  options.style = {true, true, 80};
  expect_golden("traces/traceback-colour.txt", trace_text(view_of(sample), options));
  options.by = TraceGroup::kType;
  options.limit = 0;
  options.style = {};
  options.filter.exclude = {"/usr/*"};
  expect_golden("traces/type.txt", trace_text(view_of(sample), options));
}

TEST(TraceGolden, WhatCouldNotBeRead) {
  TraceSample sample = sample_traces();
  sample.table.damage = {3, 1, 2, 4, 5, 6};
  sample.table.current_bytes = sample.table.traced_bytes + 4096;
  sample.table.peak_bytes = std::nullopt;
  sample.table.frame_limit = 0;
  sample.header.moved_threads = 1;
  TraceReportOptions options;
  options.by = TraceGroup::kFile;
  expect_golden("traces/damage.txt", trace_text(view_of(sample), options));
}

TEST(TraceGolden, Growth) {
  const TraceSample before = sample_traces();
  TraceSample now = sample_traces(1500);
  now.header.wall_time += std::chrono::seconds(30);
  now.table.traces.pop_back();
  now.table.traced_bytes -= 120;
  now.table.current_bytes = now.table.traced_bytes;
  TraceReportOptions options;
  expect_golden("traces/growth.txt", trace_growth_text(view_of(before), view_of(now), options));
  options.by = TraceGroup::kTraceback;
  auto document = trace_json(view_of(now), options);
  document["growth"] = trace_growth_json(view_of(before), view_of(now), options);
  expect_golden("traces/traces.json", recording::json_text(document));
  expect_golden("traces/growth.folded",
                trace_growth_folded(view_of(before), view_of(now), options));
}

TEST(TraceGolden, Folded) {
  const TraceSample sample = sample_traces();
  TraceReportOptions options;
  expect_golden("traces/traces.folded", trace_folded(view_of(sample), options));
  options.by = TraceGroup::kType;
  expect_golden("traces/types.folded", trace_folded(view_of(sample), options));
}

}  // namespace
}  // namespace memspy

// Traces summed up, filtered and compared. Whole texts stand in tests/golden.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/trace_text.h"
#include "support/trace_sample.h"

namespace memspy::report {
namespace {

using memspy::testing::sample_traces;
using memspy::testing::TraceSample;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> places(const TraceRows& rows) {
  std::vector<std::string> found;
  for (const TraceRow& row : rows.rows) found.push_back(row.place);
  return found;
}

TEST(TraceGroups, EveryGroupCountsEveryTraceOnce) {
  const TraceSample sample = sample_traces();
  for (const TraceGroup by :
       {TraceGroup::kLine, TraceGroup::kFile, TraceGroup::kTraceback, TraceGroup::kType}) {
    const TraceRows rows = group_traces(sample.table, by, {});
    TraceTotals sum;
    for (const TraceRow& row : rows.rows) {
      sum.count += row.count;
      sum.bytes += row.bytes;
    }
    EXPECT_EQ(sum.count, sample.table.traces.size());
    EXPECT_EQ(sum.bytes, sample.table.traced_bytes);
    EXPECT_EQ(rows.total.bytes, sum.bytes);
    EXPECT_EQ(rows.left_out.count, 0u);
    EXPECT_TRUE(std::is_sorted(rows.rows.begin(), rows.rows.end(),
                               [](const auto& a, const auto& b) { return a.bytes > b.bytes; }));
  }
}

TEST(TraceGroups, ALineIsOneRowWhateverCalledIt) {
  const TraceSample sample = sample_traces();
  EXPECT_THAT(places(group_traces(sample.table, TraceGroup::kLine, {})),
              ElementsAre("/srv/app/app.py:12", "/srv/app/dépôt;1.py",
                          "/usr/lib/python3.11/json/decoder.py:353"));
  const TraceRows stacks = group_traces(sample.table, TraceGroup::kTraceback, {});
  EXPECT_EQ(stacks.rows.size(), 4u);
  EXPECT_THAT(stacks.rows[0].callers, ElementsAre("/srv/app/app.py:40"));
}

TEST(TraceGroups, StacksThatDifferOnlyInWhatWasCutAreOne) {
  TraceSample sample = sample_traces();
  sample.table.stacks.push_back({0, 2, 99});
  memspy::testing::keep_traces(sample.table, 4, 1, 7, 0);
  EXPECT_EQ(group_traces(sample.table, TraceGroup::kTraceback, {}).rows.size(), 4u);
}

TEST(TraceGroups, FiltersAreThoseOfTracemalloc) {
  const TraceSample sample = sample_traces();
  const auto kept = [&](std::vector<std::string> include, std::vector<std::string> exclude) {
    return places(group_traces(sample.table, TraceGroup::kFile, {include, exclude}));
  };
  EXPECT_THAT(kept({"*/json/*"}, {}), ElementsAre("/usr/lib/python3.11/json/decoder.py"));
  EXPECT_THAT(kept({"/srv/app/app.pyc"}, {}), ElementsAre("/srv/app/app.py"));
  EXPECT_THAT(kept({}, {"/srv/*"}), ElementsAre("/usr/lib/python3.11/json/decoder.py"));
  EXPECT_THAT(kept({"/srv/*", "/usr/*"}, {"*;*", "*/[!d]*r.py"}), ElementsAre("/srv/app/app.py"));
  EXPECT_THAT(kept({"app.py"}, {}), ElementsAre());
  const TraceRows rows = group_traces(sample.table, TraceGroup::kLine, {{"*/json/*"}, {}});
  EXPECT_EQ(rows.total.bytes + rows.left_out.bytes, sample.table.traced_bytes);
  EXPECT_EQ(rows.total.count, 200u);
}

TEST(TraceGroups, ComparesByPlace) {
  const TraceSample before = sample_traces(1000), now = sample_traces(400);
  const auto rows = compare_traces(group_traces(before.table, TraceGroup::kLine, {}),
                                   group_traces(now.table, TraceGroup::kLine, {}));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].row.place, "/srv/app/app.py:12");
  EXPECT_EQ(rows[0].grown_bytes, -600 * 480);
  EXPECT_EQ(rows[0].grown_count, -600);
  EXPECT_EQ(trace_growth_verdict(rows, 1), "nothing grew by more than 64 KiB");
  const auto back = compare_traces(group_traces(now.table, TraceGroup::kLine, {}),
                                   group_traces(before.table, TraceGroup::kLine, {}));
  EXPECT_THAT(trace_growth_verdict(back, 2), HasSubstr("/srv/app/app.py:12 grew by +281 KiB"));
  EXPECT_THAT(trace_growth_verdict(back, 2), HasSubstr("+141 KiB/min"));
}

TEST(TraceVerdict, SaysWhenThereIsNothing) {
  TraceSample sample = sample_traces();
  const TraceView look{&sample.header, &sample.table};
  EXPECT_THAT(trace_verdict(look, group_traces(sample.table, TraceGroup::kLine, {{"x"}, {}})),
              HasSubstr("no traced block matches"));
  sample.table.traces.clear();
  EXPECT_THAT(trace_verdict(look, group_traces(sample.table, TraceGroup::kLine, {})),
              HasSubstr("nothing is traced"));
}

}  // namespace
}  // namespace memspy::report

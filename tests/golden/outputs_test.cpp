// Every output of a small synthetic run, written to a recording and read back, against its text.
#include <gtest/gtest.h>

#include <sstream>

#include "recording/recording.h"
#include "report/annotate.h"
#include "report/diff.h"
#include "report/report.h"
#include "sinks/page.h"
#include "sinks/sink_registry.h"
#include "support/golden.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/temp_dir.h"

namespace memspy {
namespace {

using memspy::testing::expect_golden;
using memspy::testing::IsOk;
using memspy::testing::TempDir;
using recording::Profile;
using recording::Reader;
using recording::Writer;

Profile through_a_recording(Result<Unit> (*tell)(SampleSink&), recording::TimeWindow window = {}) {
  const TempDir dir;
  auto writer = Writer::create(dir.file("run.memspy"));
  EXPECT_THAT(writer, IsOk());
  EXPECT_THAT(tell(**writer), IsOk());
  writer->reset();
  auto reader = Reader::open(dir.file("run.memspy"));
  EXPECT_THAT(reader, IsOk());
  auto profile = Profile::load(*reader, window, recording::Timeline::kKeep);
  EXPECT_THAT(profile, IsOk());
  return std::move(profile).value();
}

Profile sample() { return through_a_recording(memspy::testing::tell_sample_run); }

class Formats : public ::testing::TestWithParam<const char*> {};

TEST_P(Formats, MatchTheirText) {
  const auto* format = sinks::find_format(GetParam());
  ASSERT_NE(format, nullptr);
  std::ostringstream out;
  ASSERT_THAT(format->write(sample(), {}, out), IsOk());
  expect_golden("sample" + std::string(format->suffixes.front()), out.str());
}
INSTANTIATE_TEST_SUITE_P(Golden, Formats,
                         ::testing::Values("folded", "speedscope", "svg", "json", "csv", "jsonl"),
                         [](const auto& value) { return std::string(value.param); });

TEST(Golden, FoldedByProcessAndThread) {
  sinks::FormatOptions options;
  options.shape.processes = options.shape.threads = true;
  std::ostringstream out;
  ASSERT_THAT(sinks::find_format("folded")->write(sample(), options, out), IsOk());
  expect_golden("sample-threads.folded", out.str());
}

// What is inside the page; the page around it is web/'s.
TEST(Golden, DataOfThePage) {
  const Profile profile = sample();
  sinks::PageParts parts;
  parts.run = &profile;
  expect_golden("page.json", sinks::page_json(parts));
  const Profile time = through_a_recording(memspy::testing::tell_alloc_run);
  parts.run = &time;
  expect_golden("alloc-page.json", sinks::page_json(parts));
}

TEST(Golden, Tables) {
  report::ReportOptions options;
  expect_golden("report-line.txt", report::report_table(sample(), options));
  options.by = report::GroupBy::kFunction;
  options.limit = 3;
  expect_golden("report-function.txt", report::report_table(sample(), options));
  options.by = report::GroupBy::kFile;
  options.sort = report::SortBy::kCumulative;
  options.style = {true, true, 70};
  expect_golden("report-file-colour.txt", report::report_table(sample(), options));
}

TEST(Golden, ATableOfAWindow) {
  const recording::TimeWindow window{std::chrono::seconds(1), {}};
  expect_golden(
      "report-window.txt",
      report::report_table(through_a_recording(memspy::testing::tell_sample_run, window), {}));
}

TEST(Golden, ATableOfARunWithoutAnEnd) {
  expect_golden(
      "report-unfinished.txt",
      report::report_table(through_a_recording(memspy::testing::tell_unfinished_run), {}));
}

TEST(Golden, Trees) {
  report::ReportOptions options;
  expect_golden("report-tree.txt", report::report_tree(sample(), options));
  options.style.ascii = true;
  options.shape.processes = options.shape.threads = true;
  expect_golden("report-tree-ascii.txt", report::report_tree(sample(), options));
}

TEST(Golden, DataOfAReport) {
  expect_golden("report.csv", report::report_csv(sample(), {}));
  expect_golden("report.json", report::report_json(sample(), {}));
}

// Time, and nowhere bytes.
TEST(Golden, TimeSpentAllocating) {
  const Profile profile = through_a_recording(memspy::testing::tell_alloc_run);
  for (const char* name : {"folded", "speedscope", "svg", "json"}) {
    const auto* format = sinks::find_format(name);
    std::ostringstream out;
    ASSERT_THAT(format->write(profile, {}, out), IsOk());
    expect_golden("alloc" + std::string(format->suffixes.front()), out.str());
  }
  report::ReportOptions options;
  expect_golden("alloc-report.txt", report::report_table(profile, options));
  expect_golden("alloc-report-tree.txt", report::report_tree(profile, options));
  expect_golden("alloc-report.csv", report::report_csv(profile, options));
  expect_golden("alloc-report.json", report::report_json(profile, options));
  const recording::TimeWindow window{std::chrono::seconds(1), {}};
  expect_golden(
      "alloc-report-window.txt",
      report::report_table(through_a_recording(memspy::testing::tell_alloc_run, window), options));
}

TEST(Golden, AnnotatedSource) {
  Profile profile = sample();
  // The checked-out sources are younger than the synthetic run.
  profile.header.wall_start = std::chrono::hours(24 * 365 * 200);
  report::AnnotateOptions annotate;
  annotate.source_roots = {std::string(MEMSPY_TESTS_DIR) + "/golden/sources"};
  annotate.context = 3;
  std::string text = report::report_annotated(profile, {}, annotate);
  const std::string root = MEMSPY_TESTS_DIR;
  for (auto at = text.find(root); at != std::string::npos; at = text.find(root)) {
    text.replace(at, root.size(), "TESTS");
  }
  expect_golden("report-annotated.txt", text);
}

TEST(Golden, AFileThatDidNotGrow) {
  report::AnnotateOptions annotate;
  annotate.only_file = "nope.py";
  expect_golden("report-no-such-file.txt", report::report_annotated(sample(), {}, annotate));
}

TEST(Golden, DiffOfTwoAndThree) {
  const Profile first = sample();
  const Profile second = through_a_recording(memspy::testing::tell_second_run);
  const auto two = report::diff_profiles({{"a.memspy", &first}, {"b.memspy", &second}},
                                         report::GroupBy::kFunction, {}, recording::Amount::kNet);
  expect_golden("diff.txt", report::diff_text(two, {}, 0));
  expect_golden("diff.json", report::diff_json(two));
  const auto three =
      report::diff_profiles({{"a.memspy", &first}, {"b.memspy", &second}, {"c.memspy", &second}},
                            report::GroupBy::kLine, {}, recording::Amount::kNet);
  expect_golden("diff-three.txt", report::diff_text(three, {}, 2));
}

TEST(Golden, DiffOfTimeSpentAllocating) {
  const Profile first = through_a_recording(memspy::testing::tell_alloc_run);
  const Profile second = through_a_recording(memspy::testing::tell_second_alloc_run);
  const auto two = report::diff_profiles({{"a.memspy", &first}, {"b.memspy", &second}},
                                         report::GroupBy::kFunction, {}, recording::Amount::kNet);
  expect_golden("alloc-diff.txt", report::diff_text(two, {}, 0));
  expect_golden("alloc-diff.json", report::diff_json(two));
  const auto three =
      report::diff_profiles({{"a.memspy", &second}, {"b.memspy", &first}, {"c.memspy", &first}},
                            report::GroupBy::kLine, {}, recording::Amount::kNet);
  expect_golden("alloc-diff-three.txt", report::diff_text(three, {}, 2));
}

}  // namespace
}  // namespace memspy

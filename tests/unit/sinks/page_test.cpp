#include "sinks/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "sinks/snapshot_formats.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/snapshot_builder.h"
#include "unit/sinks/sample_profile.h"

namespace memspy::sinks {
namespace {

using memspy::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

Json data(const PageParts& parts) { return Json::parse(page_json(parts)); }

std::string written(const PageParts& parts) {
  std::ostringstream out;
  EXPECT_THAT(write_page(parts, out), IsOk());
  return out.str();
}

TEST(Page, HasTheRunByTime) {
  const auto profile = sample_profile();
  PageParts parts;
  parts.run = &profile;
  parts.options.words = [](const recording::Profile&, const recording::StackShape&) {
    return RunWords{"who", "what grew", "how it is known", ""};
  };
  const Json run = data(parts)["run"];
  EXPECT_EQ(run["head"]["words"]["verdict"], "what grew");
  EXPECT_EQ(run["growth"]["bucket_seconds"], 1.0);
  const auto cells = run["growth"]["bucket"].size();
  EXPECT_EQ(cells, 8U);
  for (const char* column : {"node", "touched_bytes", "returned_bytes", "samples"})
    EXPECT_EQ(run["growth"][column].size(), cells) << column;
  EXPECT_EQ(run["growth"]["bucket"], Json({0, 0, 0, 1, 0, 0, 0, 0}));  // steps
  EXPECT_EQ(run["nodes"]["above"].size(), run["nodes"]["frame"].size());
  ASSERT_EQ(run["series"].size(), 2U);
  EXPECT_EQ(run["series"][0]["microseconds"], Json({1000000, 1000000}));
  EXPECT_EQ(run["series"][0]["columns"]["rss_bytes"], Json({104857600, 32505856}));
  EXPECT_EQ(run["series"][0]["columns"]["cpu_percent"], Json({12500, 0}));
  EXPECT_FALSE(run["series"][0]["columns"].contains("swap_bytes"));  // never measured
}

TEST(Page, OfTimeHasNanosecondsAndNoGrowth) {
  recording::Profile profile;
  profile.keep_timeline = true;
  ASSERT_THAT(memspy::testing::tell_alloc_run(profile), IsOk());
  PageParts parts;
  parts.run = &profile;
  const Json run = data(parts)["run"];
  EXPECT_EQ(run["head"]["mode"], "alloc");
  EXPECT_FALSE(run.contains("growth") || run.contains("unattributed"));
  EXPECT_EQ(run["allocation"]["bucket"], Json({0, 0, 1, 0}));
  EXPECT_EQ(run["allocation"]["nanoseconds"],
            Json({84'000'000, 20'500'000, 30'000'000, 4'000'000}));
  EXPECT_EQ(run["allocation"]["samples"], Json({21, 5, 8, 1}));
  EXPECT_EQ(run["user_cpu"]["bucket"], Json({0, 1}));
  EXPECT_EQ(run["user_cpu"]["nanoseconds"], Json({904'500'000, 434'000'000}));
  EXPECT_EQ(run["series"][0]["columns"]["rss_bytes"], Json({104857600, 1048576}));
}

// Windows are bounds of buckets: over a long run a rounded one would be another.
TEST(Page, TellsBucketsToTheLastDigit) {
  auto profile = sample_profile();
  profile.timeline.set_interval(std::chrono::nanoseconds(1'234'567'891));
  PageParts parts;
  parts.run = &profile;
  EXPECT_EQ(data(parts)["run"]["growth"]["bucket_seconds"], 1.234567891);
}

// Otherwise the page could not make folded stacks of them.
TEST(Page, NamesCanBeTurnedBack) {
  recording::Profile profile;
  profile.keep_timeline = true;
  Frame frame;
  frame.function = "\\x1b\x1b";
  frame.file = "/srv/a\\b.py";
  const FrameId id = profile.stacks.intern(frame);
  GrowthRecord growth;
  growth.stack = profile.stacks.intern(kNoStack, id);
  growth.touched_bytes = 4096;
  EXPECT_THAT(profile.on_growth(growth), IsOk());
  PageParts parts;
  parts.run = &profile;
  const Json frames = data(parts)["run"]["frames"];
  EXPECT_EQ(frames["function"][0], "\\\\x1b\\x1b");
  EXPECT_EQ(frames["files"][0]["path"], "/srv/a\\\\b.py");
}

// The sentence about a picture names what the picture shows.
TEST(Page, SentencesAreOfTheShapeThatIsShown) {
  const auto profile = sample_profile();
  FormatOptions options;
  options.shape.processes = true;
  int asked = 0;
  options.words = [&](const recording::Profile&, const recording::StackShape& shape) {
    EXPECT_TRUE(shape.processes);
    ++asked;
    return RunWords{};
  };
  std::ostringstream out;
  for (const char* format : {"html", "svg"})
    EXPECT_THAT(find_format(format)->write(profile, options, out), IsOk());
  EXPECT_EQ(asked, 2);
}

TEST(Page, HoldsNothingOfTheTargetButBase64) {
  const auto profile = sample_profile();
  PageParts parts;
  parts.run = &profile;
  parts.sources = {{"</script>.py", false, {{1, "</script><b>"}}}};
  const std::string page = written(parts);
  const std::string begin = "<script type=\"application/gzip;base64\" id=\"data\">";
  const auto from = page.find(begin);
  ASSERT_NE(from, std::string::npos);
  const auto to = page.find("</script>", from);
  const std::string payload = page.substr(from + begin.size(), to - from - begin.size());
  EXPECT_EQ(payload.find_first_not_of(
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="),
            std::string::npos);
  EXPECT_THAT(page, Not(HasSubstr("</script>.py")));
  // The rest of the page is the same whatever the target is.
  const std::string empty = written({});
  EXPECT_EQ(page.substr(0, from), empty.substr(0, empty.find(begin)));
  EXPECT_EQ(page.substr(to), empty.substr(empty.find("</script>", empty.find(begin))));
}

TEST(Page, HasTheHeapWithItsDocument) {
  const auto heap = memspy::testing::sample_heap();
  const auto look = heap.look();
  PageParts parts;
  parts.heap = &look;
  parts.heap_document = R"({"schema":"memspy.heap/1"})";
  const Json document = data(parts)["heap"];
  EXPECT_EQ(document["document"]["schema"], "memspy.heap/1");
  std::size_t frames = 0;
  for (const auto& length : document["lengths"]) frames += length.get<std::size_t>();
  EXPECT_EQ(document["frames"].size(), frames);
  std::uint64_t bytes = 0;
  for (const auto& value : document["bytes"]) bytes += value.get<std::uint64_t>();
  EXPECT_EQ(bytes, look.snapshot->graph.total_bytes());
  std::ostringstream out;
  EXPECT_THAT(find_snapshot_format("html")->write(look, {}, out), IsOk());
}

TEST(Page, AFullDiskIsAnOutputError) {
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  EXPECT_FALSE(write_page({}, out).has_value());
}

}  // namespace
}  // namespace memspy::sinks

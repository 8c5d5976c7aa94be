// What `report -f html` puts into a page.
#include "cli/page_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/snapshot_builder.h"
#include "support/temp_dir.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::IsOk;
using memspy::testing::TempDir;
using ::testing::HasSubstr;
using ::testing::Not;

recording::Profile sample_profile() {
  recording::Profile profile;
  profile.keep_timeline = true;
  EXPECT_THAT(memspy::testing::tell_sample_run(profile), IsOk());
  return profile;
}

// Arguments hold passwords, and a page is passed around. With all that a page can have.
TEST(PageRequest, HasNoCommandLines) {
  const TempDir dir;
  std::ofstream source(dir.file("app.py"));
  for (int line = 1; line <= 100; ++line) source << "a line of app.py\n";
  source.close();
  const recording::Profile run = sample_profile(), base = sample_profile();
  auto sample = memspy::testing::sample_heap();
  sample.snapshot.header.command_line = {"python3", "--load=a b"};
  const OpenedHeap heap{
      std::move(sample.snapshot), std::move(sample.dominators), std::move(sample.owners), {}};
  PageRequest request;
  request.run = &run;
  request.base = &base;
  request.heap = &heap;
  request.sources.emplace();
  request.sources->source_roots = {dir.path()};
  std::optional<snapshot::Look> look;
  const std::string data = sinks::page_json(page_parts(request, look));
  // All of it is there.
  for (const char* part :
       {"\"verdict\":\"", "\"comparison\":\"", "memspy.heap/1", "a line of app.py"})
    EXPECT_THAT(data, HasSubstr(part));
  EXPECT_THAT(data, Not(HasSubstr("load=a")));
}

// Time in red against bytes would be a picture of nothing.
TEST(PageFiles, ofTwoModesAreRefused) {
  memspy::testing::FakeWorld world;
  PageFiles files;
  files.paths = {"growth.memspy", "alloc.memspy"};
  files.load = [](const std::string& path) -> Result<recording::Profile> {
    recording::Profile profile;
    MEMSPY_CHECK(path == "growth.memspy" ? memspy::testing::tell_sample_run(profile)
                                         : memspy::testing::tell_alloc_run(profile));
    return profile;
  };
  std::ostringstream out;
  const auto written = write_page(files, out, world.env);
  ASSERT_THAT(written, memspy::testing::HasErrc(Errc::kUsage));
  EXPECT_THAT(written.error().message, HasSubstr("of mode growth and one of mode alloc"));
  EXPECT_EQ(out.str(), "");
}

TEST(PageFiles, ofModeAllocAreComparedByTime) {
  recording::Profile base, run;
  base.keep_timeline = run.keep_timeline = true;
  ASSERT_THAT(memspy::testing::tell_alloc_run(base), IsOk());
  ASSERT_THAT(memspy::testing::tell_second_alloc_run(run), IsOk());
  PageRequest request;
  request.run = &run;
  request.base = &base;
  std::optional<snapshot::Look> look;
  const sinks::PageParts parts = page_parts(request, look);
  EXPECT_THAT(parts.comparison, HasSubstr("load (app.py) spends more time allocating in B"));
  EXPECT_THAT(sinks::page_json(parts), HasSubstr("\"user_cpu\""));
}

}  // namespace
}  // namespace memspy::cli

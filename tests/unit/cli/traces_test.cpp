// traces, on a table made by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cli/json_text.h"
#include "support/temp_dir.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::FakeWorld;
using memspy::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class TracesVerb : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return dir_.file(name); }
  std::string text_of(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return text.str();
  }
  TempDir dir_;
  FakeWorld world_;
};

TEST_F(TracesVerb, PrintsFactsTableAndVerdict) {
  EXPECT_EQ(world_.run({"traces", "4242"}), 0);
  EXPECT_THAT(world_.out(), StartsWith("PID 4242 (python3), Python 3.11.7"));
  EXPECT_THAT(world_.out(), HasSubstr("2.0 MiB at its peak, 25 frames kept per trace"));
  EXPECT_THAT(world_.out(), HasSubstr("/srv/app/app.py:12 allocated"));
  EXPECT_EQ(world_.err(), "");
  EXPECT_FALSE(world_.traces_asked.types);
}

TEST_F(TracesVerb, OptionsReachTheLookAndTheReport) {
  EXPECT_EQ(world_.run({"traces", "-p", "4242", "--by", "type", "--max-pause", "20ms", "--spool",
                        "/var/tmp", "--assume-layout", "3.12", "--include", "/srv/*", "--include",
                        "/nowhere/*", "--exclude", "*;*", "--json"}),
            0)
      << world_.err();
  EXPECT_EQ(world_.traces_asked.image.max_pause, std::chrono::milliseconds(20));
  EXPECT_EQ(world_.traces_asked.image.spool, "/var/tmp");
  EXPECT_EQ(world_.traces_asked.assume_minor, 12);
  EXPECT_TRUE(world_.traces_asked.types);
  const Json document = Json::parse(world_.out());
  EXPECT_EQ(document["schema"], "memspy.traces/1");
  EXPECT_EQ(document["by"], "type");
  ASSERT_EQ(document["rows"].size(), 2U);
  EXPECT_EQ(document["rows"][0]["type"], "app.Session");
  EXPECT_EQ(document["left_out"]["count"], 204);
}

TEST_F(TracesVerb, TheFormatIsThatOfTheFile) {
  EXPECT_EQ(world_.run({"traces", "4242", "-o", path("a.folded")}), 0);
  EXPECT_THAT(text_of("a.folded"), HasSubstr("/srv/app/app.py:40;/srv/app/app.py:12 480000\n"));
  EXPECT_THAT(world_.err(), HasSubstr("wrote "));
  EXPECT_EQ(world_.run({"traces", "4242", "-o", path("a.json")}), 0);
  EXPECT_EQ(Json::parse(text_of("a.json"))["by"], "line");
  EXPECT_EQ(world_.run({"traces", "4242", "-f", "text", "-o", path("b.json")}), 0);
  EXPECT_THAT(text_of("b.json"), StartsWith("PID 4242"));
  EXPECT_EQ(world_.run({"traces", "4242", "-o", path("a.folded")}), 7);
  EXPECT_THAT(world_.err(), HasSubstr("--force"));
  EXPECT_EQ(world_.run({"traces", "4242", "-o", path("a.folded"), "--force"}), 0);
}

TEST_F(TracesVerb, WatchSaysWhatGrewUntilTheTargetEnds) {
  world_.env.sleep = [this](std::chrono::nanoseconds) {
    if (world_.traces_looks == 3) world_.heap_error = make_error(Errc::kNoSuchProcess, "gone");
  };
  EXPECT_EQ(world_.run({"traces", "4242", "--watch", "1s"}), 0);
  EXPECT_EQ(world_.traces_looks, 3);
  EXPECT_THAT(world_.out(), HasSubstr("/srv/app/app.py:12 grew by"));
  EXPECT_THAT(world_.err(), HasSubstr("PID 4242 has ended"));
}

TEST_F(TracesVerb, WatchIntoAFileIsOneComparison) {
  EXPECT_EQ(world_.run({"traces", "4242", "--watch", "1s", "-o", path("grown.folded")}), 0);
  EXPECT_EQ(world_.traces_looks, 2);
  EXPECT_EQ(text_of("grown.folded"), "/srv/app/app.py:40;/srv/app/app.py:12 240000\n");
  EXPECT_EQ(world_.run({"traces", "4242", "--watch", "1s", "--json", "-o", path("grown.json")}), 0);
  std::istringstream lines(text_of("grown.json"));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_FALSE(Json::parse(line).contains("growth"));
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(Json::parse(line)["growth"]["rows"].size(), 1U);
  EXPECT_FALSE(std::getline(lines, line));
}

TEST_F(TracesVerb, BadValuesAreUsageErrors) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"traces", "4242", "--by", "colour"}, "line|file|traceback|type"},
      {{"traces", "4242", "-f", "poem"}, "text|json|folded"},
      {{"traces", "4242", "--json", "-f", "folded"}, "one of them"},
      {{"traces", "4242", "--watch", "soon"}, "soon"},
      {{"traces", "4242", "--max-pause", "5"}, "--max-pause"},
      {{"traces", "x.memsnap"}, "x.memsnap"}};
  for (const auto& [args, says] : cases) {
    EXPECT_EQ(world_.run(args), 2) << args.back();
    EXPECT_THAT(world_.err(), HasSubstr(says));
  }
  EXPECT_EQ(world_.traces_looks, 0);
}

TEST_F(TracesVerb, AnErrorOfTheLookIsTheErrorOfTheVerb) {
  world_.heap_error = make_error(Errc::kInternal, "PID 4242 (python3) does not trace");
  EXPECT_EQ(world_.run({"traces", "4242", "-o", path("x.folded")}), 1);
  EXPECT_THAT(world_.err(), HasSubstr("does not trace"));
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

}  // namespace
}  // namespace memspy::cli

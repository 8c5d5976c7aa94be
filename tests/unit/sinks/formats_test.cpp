#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "recording/recording.h"
#include "recording/shaped.h"
#include "recording/summary_json.h"
#include "recording/text.h"
#include "sinks/flame_svg.h"
#include "sinks/sink_registry.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/temp_dir.h"
#include "unit/sinks/sample_profile.h"

namespace memspy::sinks {
namespace {

using memspy::testing::IsOk;
using memspy::testing::TempDir;
using recording::Profile;
using ::testing::HasSubstr;
using ::testing::Not;

std::string rendered(const std::string& format, const Profile& profile,
                     FormatOptions options = {}) {
  std::ostringstream out;
  EXPECT_THAT(find_format(format)->write(profile, options, out), IsOk());
  return out.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Formats, AreFoundByNameAndSuffix) {
  EXPECT_EQ(find_format_for("a.folded")->name, "folded");
  EXPECT_EQ(find_format_for("a.speedscope.json")->name, "speedscope");
  EXPECT_EQ(find_format_for("a.json")->name, "json");
  EXPECT_EQ(find_format_for("a.csv")->kind, FormatKind::kSeries);
  EXPECT_EQ(find_format_for("a.memspy")->write, nullptr);
  EXPECT_EQ(find_format_for("a.out"), nullptr);
  EXPECT_EQ(find_format("pdf"), nullptr);
}

// Live and derived outputs are the same because both come from a recording.
TEST(Formats, AreTheSameFromALiveRunAndFromItsRecording) {
  const TempDir dir;
  auto writer = recording::Writer::create(dir.file("run.memspy"));
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(memspy::testing::tell_sample_run(**writer), IsOk());
  auto reader = recording::Reader::open(dir.file("run.memspy"));
  ASSERT_THAT(reader, IsOk());
  auto loaded = Profile::load(*reader, {}, recording::Timeline::kKeep);
  ASSERT_THAT(loaded, IsOk());
  const Profile live = sample_profile();
  for (const auto& format : formats()) {
    if (format.write == nullptr) continue;
    EXPECT_EQ(rendered(std::string(format.name), live),
              rendered(std::string(format.name), *loaded));
  }
}

// It is large: who loads a recording for a format that does not show it leaves it out.
TEST(Formats, SayWhetherTheyShowTheTimeline) {
  const TempDir dir;
  auto writer = recording::Writer::create(dir.file("run.memspy"));
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(memspy::testing::tell_sample_run(**writer), IsOk());
  auto reader = recording::Reader::open(dir.file("run.memspy"));
  ASSERT_THAT(reader, IsOk());
  auto without = Profile::load(*reader);
  ASSERT_THAT(without, IsOk());
  EXPECT_TRUE(without->timeline.records().empty());
  for (const auto& format : formats()) {
    if (format.write == nullptr) continue;
    const std::string name(format.name);
    EXPECT_EQ(rendered(name, *without) != rendered(name, sample_profile()),
              format.timeline == recording::Timeline::kKeep)
        << name;
  }
}

TEST(Folded, SumsToTheGrowthAndIsSorted) {
  const auto lines = lines_of(rendered("folded", sample_profile()));
  std::uint64_t sum = 0;
  for (const auto& line : lines) {
    const auto space = line.rfind(' ');
    ASSERT_NE(space, std::string::npos);
    const std::string number = line.substr(space + 1);
    EXPECT_TRUE(
        std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; }));
    EXPECT_NE(number, "0");
    sum += std::stoull(number);
  }
  EXPECT_EQ(sum, memspy::testing::sample_summary().growth_bytes);
  EXPECT_TRUE(std::is_sorted(lines.begin(), lines.end()));
  EXPECT_THAT(lines, ::testing::Contains("<module> (app.py:40);load (app.py:12) 56623104"));
  EXPECT_THAT(lines, ::testing::Contains("[unattributed] 2097152"));
}

TEST(Folded, KeepsOddNamesOnTheirLine) {
  const std::string text = rendered("folded", sample_profile());
  EXPECT_THAT(text, HasSubstr("weird\\x3bname\\nwith \"quotes\" <b>é\\xff (odd.py:3) 4096\n"));
}

TEST(Folded, TellsFilesOfOneNameApart) {
  const std::string text = rendered("folded", sample_profile());
  EXPECT_THAT(text, HasSubstr("loads (json/__init__.py:346)"));
  EXPECT_THAT(text, HasSubstr("info (logging/__init__.py:1477)"));
}

TEST(Folded, ShapesStacks) {
  FormatOptions options;
  options.shape.processes = options.shape.threads = options.shape.functions = true;
  const std::string text = rendered("folded", sample_profile(), options);
  EXPECT_THAT(
      text,
      HasSubstr("pid 4242 (python3);thread MainThread;<module> (app.py);load (app.py) 56623104\n"));
  EXPECT_THAT(text, HasSubstr("pid 4242 (python3);thread loader\\x3b 1;"));
  EXPECT_THAT(text, HasSubstr("pid 4250 (worker);thread 4250;"));
  EXPECT_THAT(text, HasSubstr("pid 4242 (python3);[unattributed] 2097152\n"));
  EXPECT_THAT(text, Not(HasSubstr("app.py:")));
  options.shape = {};
  options.shape.full_filenames = true;
  EXPECT_THAT(rendered("folded", sample_profile(), options),
              HasSubstr("load (/srv/app/app.py:12)"));
  options = {};
  options.amount = recording::Amount::kGross;
  EXPECT_THAT(rendered("folded", sample_profile(), options), HasSubstr("load (app.py:14) 2097152"));
}

TEST(FileNames, TheSameFileByTwoPathsIsOneName) {
  StackTable stacks;
  for (const char* file : {"app.py", "/srv/x/app.py", "/a/b/util.py", "/c/b/util.py", "plain"}) {
    stacks.intern(Frame{"f", file, 1, FrameKind::kPython});
  }
  const recording::FileNames names(stacks, false);
  EXPECT_EQ(names.name("app.py"), "app.py");
  EXPECT_EQ(names.name("/srv/x/app.py"), "app.py");
  EXPECT_EQ(names.name("/a/b/util.py"), "a/b/util.py");
  EXPECT_EQ(names.name("/c/b/util.py"), "c/b/util.py");
  EXPECT_EQ(names.name("plain"), "plain");
}

TEST(Csv, HasItsHeadAndOneRowPerPoint) {
  const auto lines = lines_of(rendered("csv", sample_profile()));
  ASSERT_GE(lines.size(), 6u);
  EXPECT_TRUE(lines[0].starts_with("# memspy 0.1.0 time series, engine faults"));
  EXPECT_THAT(lines[1], HasSubstr("2023-11-14T22:13:20.250Z"));
  const auto header = std::find_if(lines.begin(), lines.end(), [](auto& l) { return l[0] != '#'; });
  EXPECT_TRUE(header->starts_with(
      "time_seconds,rss_bytes,pss_bytes,uss_bytes,swap_bytes,vms_bytes,threads,open_files,"
      "cpu_percent,minor_faults,major_faults,"));
  EXPECT_TRUE(header->ends_with(",pid"));
  EXPECT_TRUE((header + 1)->starts_with("1.000000,104857600,,,,,3,,12.5,5001,"));
  EXPECT_EQ(lines.end() - header, 4);
  const auto columns = std::count(header->begin(), header->end(), ',');
  for (auto row = header + 1; row != lines.end(); ++row) {
    EXPECT_EQ(std::count(row->begin(), row->end(), ','), columns);
  }
}

TEST(Csv, HasNoPidForOneProcess) {
  Profile profile = sample_profile();
  profile.processes.resize(1);
  EXPECT_THAT(rendered("csv", profile), Not(HasSubstr(",pid")));
}

TEST(JsonLines, EachLineStandsAlone) {
  for (const auto& line : lines_of(rendered("jsonl", sample_profile()))) {
    const auto object = nlohmann::json::parse(line);
    EXPECT_EQ(object["schema"], "memspy.series/1");
    EXPECT_TRUE(object["rss_bytes"].is_number_integer());
    EXPECT_FALSE(object.contains("pss_bytes"));
  }
}

TEST(Json, HasTheProfileAndTheSummary) {
  const auto document = nlohmann::json::parse(rendered("json", sample_profile()));
  EXPECT_EQ(document["schema"], "memspy.profile/1");
  EXPECT_EQ(document["engine"], "faults");
  EXPECT_EQ(document["summary"]["schema"], "memspy.record/1");
  EXPECT_EQ(document["total_bytes"], document["summary"]["growth_bytes"]);
  std::uint64_t sum = 0;
  for (const auto& stack : document["stacks"]) {
    sum += stack["bytes"].get<std::uint64_t>();
    for (const auto& frame : stack["frames"]) EXPECT_LT(frame, document["frames"].size());
  }
  EXPECT_EQ(sum, document["total_bytes"]);
}

TEST(Json, TheSummaryHasItsKeysInOrder) {
  const auto json = recording::summary_json(memspy::testing::sample_summary(), "faults");
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_THAT(keys,
              ::testing::ElementsAre("schema", "engine", "duration_seconds", "samples", "rejected",
                                     "growth_bytes", "attributed_bytes", "unattributed_bytes",
                                     "shrink_bytes", "stopped_seconds", "pause_us", "rss_bytes",
                                     "ended_by", "late", "counters"));
  EXPECT_EQ(json["pause_us"]["p99"], 240.0);
  EXPECT_EQ(json["counters"]["own_cpu_seconds"], 0.25);
}

TEST(Speedscope, KeepsItsContract) {
  const auto document = nlohmann::json::parse(rendered("speedscope", sample_profile()));
  EXPECT_EQ(document["$schema"], "https://www.speedscope.app/file-format-schema.json");
  ASSERT_EQ(document["profiles"].size(), 1u);
  const auto& profile = document["profiles"][0];
  EXPECT_EQ(profile["type"], "sampled");
  EXPECT_EQ(profile["unit"], "bytes");
  EXPECT_EQ(profile["samples"].size(), profile["weights"].size());
  std::uint64_t sum = 0;
  for (const auto& weight : profile["weights"]) sum += weight.get<std::uint64_t>();
  EXPECT_EQ(profile["endValue"], sum);
  for (const auto& sample : profile["samples"]) {
    for (const auto& frame : sample) EXPECT_LT(frame, document["shared"]["frames"].size());
  }
}

TEST(Formats, AreSoundForARunWithNothingInIt) {
  Profile empty;
  EXPECT_EQ(rendered("folded", empty), "");
  EXPECT_EQ(rendered("jsonl", empty), "");
  EXPECT_TRUE(nlohmann::json::accept(rendered("json", empty)));
  EXPECT_TRUE(nlohmann::json::accept(rendered("speedscope", empty)));
}

TEST(Formats, AFailedStreamIsAnOutputError) {
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  for (const auto& format : formats()) {
    if (format.write == nullptr) continue;
    EXPECT_THAT(format.write(sample_profile(), {}, out), memspy::testing::HasErrc(Errc::kOutput));
  }
}

TEST(Text, EscapesWhatIsNoText) {
  using recording::escape_text;
  EXPECT_EQ(escape_text("a\tb\x1b[31m"), "a\\tb\\x1b[31m");
  EXPECT_EQ(escape_text("é漢😀"), "é漢😀");
  EXPECT_EQ(escape_text("\xc3"), "\\xc3");
  EXPECT_EQ(escape_text("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a lone surrogate
  EXPECT_EQ(escape_text("\xc2\x9b"
                        "x"),
            "\\xc2\\x9bx");  // CSI as one character
  EXPECT_EQ(escape_text("a;b\\c"), "a;b\\c");
  EXPECT_EQ(escape_text("a;b\\c", ";\\"), "a\\x3bb\\\\c");
}

// Names that would look like others, wherever they are shown.
TEST(Text, ShowsWhatTurnsTextOrIsNotSeen) {
  using recording::escape_text;
  EXPECT_EQ(escape_text("\u202egnp.exe"), "\\u202egnp.exe");
  EXPECT_EQ(escape_text("a\u061c\u200b\u200f\u2028\u2060\u206f\ufeff"),
            "a\\u061c\\u200b\\u200f\\u2028\\u2060\\u206f\\ufeff");
  EXPECT_EQ(escape_text("\u061b\u200a\u2010\u2027\u202f\u205f\u2070\ufefe"),
            "\u061b\u200a\u2010\u2027\u202f\u205f\u2070\ufefe");
}

FlameInput one_stack(const std::vector<std::uint32_t>& frames) {
  FlameInput input;
  input.names = {"f", "\u202eg"};
  input.groups = {"f.py", "f.py"};
  input.stacks = {{&frames, 4096}};
  return input;
}

std::string drawn(const FlameInput& input) {
  std::ostringstream out;
  EXPECT_THAT(write_flame_svg(input, out), IsOk());
  return out.str();
}

TEST(FlameSvg, ShowsNamesAsTheyAre) {
  const std::vector<std::uint32_t> frames{0, 1};
  const std::string svg = drawn(one_stack(frames));
  EXPECT_THAT(svg, HasSubstr("\\u202eg"));
  EXPECT_THAT(svg, Not(HasSubstr("\u202e")));
}

TEST(FlameSvg, SaysWhatItCuts) {
  const std::vector<std::uint32_t> deep(513, 0), deepest(512, 0);
  EXPECT_THAT(drawn(one_stack(deepest)), Not(HasSubstr("deeper")));
  EXPECT_THAT(drawn(one_stack(deep)),
              HasSubstr("1 stack is deeper than 512 frames, and cut there"));
  FlameInput input = one_stack(deep);
  input.stacks.push_back(input.stacks.front());
  EXPECT_THAT(drawn(input), HasSubstr("2 stacks are deeper than 512 frames, and cut there"));
}

}  // namespace
}  // namespace memspy::sinks

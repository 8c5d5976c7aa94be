// heap, snapshot, why, gc, and diff and report on snapshots, on a heap made by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/json_text.h"
#include "cli/phase_progress.h"
#include "support/temp_dir.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::FakeWorld;
using memspy::testing::TempDir;
using ::testing::HasSubstr;
using ::testing::Not;

class HeapVerbs : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return dir_.file(name); }
  // A snapshot file of the next look.
  std::string taken(const std::string& name) {
    EXPECT_EQ(world_.run({"snapshot", "4242", "-o", path(name)}), 0) << world_.err();
    return path(name);
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }

  TempDir dir_;
  FakeWorld world_;
};

TEST_F(HeapVerbs, HeapPrintsPartitionLedgerAndVerdict) {
  EXPECT_EQ(world_.run({"heap", "4242"}), 0);
  EXPECT_THAT(world_.out(), HasSubstr("Partition of "));
  EXPECT_THAT(world_.out(), HasSubstr("app.Session"));
  EXPECT_THAT(world_.out(), HasSubstr("malloc free"));
  EXPECT_EQ(world_.err(), "");
}

TEST_F(HeapVerbs, OptionsReachTheLook) {
  EXPECT_EQ(world_.run({"heap", "-p", "4242", "--max-pause", "20ms", "--spool", "/var/tmp",
                        "--values", "--assume-layout", "3.12"}),
            0);
  EXPECT_EQ(world_.heap_asked.image.max_pause, std::chrono::milliseconds(20));
  EXPECT_EQ(world_.heap_asked.image.spool, "/var/tmp");
  EXPECT_TRUE(world_.heap_asked.values);
  EXPECT_EQ(world_.heap_asked.assume_minor, 12);
}

TEST_F(HeapVerbs, HeapAsJsonIsOneDocument) {
  EXPECT_EQ(world_.run({"heap", "4242", "--json", "--by", "owner", "--largest", "2"}), 0);
  const Json document = Json::parse(world_.out());
  EXPECT_EQ(document["schema"], "memspy.heap/1");
  EXPECT_EQ(document["by"], "owner");
  EXPECT_EQ(document["largest"].size(), 2U);
}

TEST_F(HeapVerbs, WatchSaysWhatGrewUntilTheTargetEnds) {
  world_.env.sleep = [this](std::chrono::nanoseconds) {
    if (world_.heap_looks == 3) world_.heap_error = make_error(Errc::kNoSuchProcess, "gone");
  };
  EXPECT_EQ(world_.run({"heap", "4242", "--watch", "1s"}), 0);
  EXPECT_EQ(world_.heap_looks, 3);
  EXPECT_THAT(world_.out(), HasSubstr("app.SESSIONS"));
  EXPECT_THAT(world_.out(), HasSubstr("objects are growing: "));
  // From the third look on the one before stands between.
  EXPECT_THAT(world_.out(), HasSubstr("B the look before: "));
  EXPECT_THAT(world_.out(), HasSubstr("C now: "));
  EXPECT_THAT(world_.err(), HasSubstr("PID 4242 has ended"));
}

TEST_F(HeapVerbs, TheVerbsThatPrintWriteFilesToo) {
  const std::string a = taken("a.memsnap"), b = taken("b.memsnap");
  const std::vector<std::vector<std::string>> verbs{
      {"heap", "4242"}, {"gc", "4242"}, {"diff", a, b}};
  for (std::vector<std::string> verb : verbs) {
    const std::string text = path(verb[0] + ".txt"), document = path(verb[0] + ".json");
    auto with = [&](std::vector<std::string> more) {
      std::vector<std::string> all = verb;
      all.insert(all.end(), more.begin(), more.end());
      return world_.run(all);
    };
    EXPECT_EQ(with({"-o", text}), 0);
    EXPECT_THAT(world_.err(), HasSubstr("wrote " + text));
    EXPECT_EQ(world_.out(), "") << verb[0];
    EXPECT_GT(std::filesystem::file_size(text), 100U);
    EXPECT_EQ(with({"-o", document}), 0);
    std::ifstream file(document);
    EXPECT_TRUE(Json::parse(file).contains("schema"));
    // Known before the process is touched; replaced only when asked.
    const int looks = world_.heap_looks;
    EXPECT_EQ(with({"-o", text}), 7);
    EXPECT_EQ(with({"-o", "/no/such/folder/x"}), 7);
    EXPECT_EQ(with({"-f", "poem"}), 2);
    EXPECT_EQ(with({"-f", "text", "--json"}), 2);
    EXPECT_EQ(world_.heap_looks, looks);
    EXPECT_EQ(with({"-o", text, "--force", "-f", "json"}), 0);
    std::ifstream again(text);
    EXPECT_TRUE(Json::parse(again).contains("schema"));
  }
}

TEST_F(HeapVerbs, WatchIntoAFileIsOneComparison) {
  EXPECT_EQ(world_.run({"heap", "4242", "--watch", "1s", "-o", path("watch.txt")}), 0);
  EXPECT_EQ(world_.heap_looks, 2);
  std::ifstream file(path("watch.txt"));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(text, HasSubstr("Partition of "));
  EXPECT_THAT(text, HasSubstr("objects are growing: "));
}

TEST_F(HeapVerbs, BadValuesAreUsageErrors) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"heap", "4242", "--by", "colour"}, "type, module, owner, size or generation"},
      {{"heap", "4242", "--sort", "colour"}, "bytes, count, retained or name"},
      {{"heap", "4242", "--largest", "many"}, "many"},
      {{"heap", "4242", "--largest", "0"}, "1 to 10000"},
      {{"heap", "4242", "--watch", "soon"}, "soon"},
      {{"heap", "4242", "--max-pause", "5"}, "--max-pause"},
      {{"heap", "banana"}, "neither a PID nor a file"},
      {{"heap", "-p", "4242", "x.memsnap"}, "one of them"},
      {{"why", "4242"}, "--type"},
      {{"why", "4242", "--type", "dict", "--addr", "0x10"}, "one of them"},
      {{"why", "4242", "--addr", "banana"}, "banana"},
      {{"why", "4242", "--type", "dict", "-f", "poem"}, "poem"},
      {{"snapshot", "4242", "--core", "/x"}, "--core and a PID"},
      {{"snapshot", "4242", "--exe", "/x"}, "--core"},
      {{"snapshot", "4242", "-o", "-"}, "standard output"}};
  for (const auto& [args, says] : cases) {
    EXPECT_EQ(world_.run(args), 2) << args[0] << " " << args[1];
    EXPECT_THAT(world_.err(), HasSubstr(says));
  }
  EXPECT_EQ(world_.heap_looks, 0);
}

TEST_F(HeapVerbs, AnErrorOfTheLookIsTheErrorOfTheVerb) {
  world_.heap_error = make_error(Errc::kPermission, "cannot read PID 4242");
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"heap", "4242"}, {"gc", "4242"}, {"why", "4242", "--type", "dict"}}) {
    EXPECT_EQ(world_.run(args), 4) << args[0];
    EXPECT_THAT(world_.err(), HasSubstr("cannot read PID 4242"));
  }
  EXPECT_EQ(world_.run({"snapshot", "4242", "-o", path("x.memsnap")}), 4);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_F(HeapVerbs, WithoutAPidTheOnlyProcessIsTaken) {
  ProcessRow row;
  row.pid = Pid{4242};
  row.command = "python3 app.py";
  world_.rows = {row};
  EXPECT_EQ(world_.run({"gc"}), 0);
  EXPECT_THAT(world_.err(), HasSubstr("taking the only Python process: 4242"));
}

TEST_F(HeapVerbs, WhyByTypeAddressAndSize) {
  EXPECT_EQ(world_.run({"why", "4242", "--type", "app.Session"}), 0);
  EXPECT_THAT(world_.out(), HasSubstr(".SESSIONS"));
  EXPECT_EQ(world_.run({"why", "4242", "--largest", "1"}), 0);
  EXPECT_THAT(world_.out(), HasSubstr("app.SESSIONS"));
  EXPECT_EQ(world_.run({"why", "4242", "--addr", "0x7f0000000300", "--json"}), 0);
  const Json document = Json::parse(world_.out());
  EXPECT_EQ(document["object"]["address"], "0x7f0000000300");
  EXPECT_EQ(document["paths"][0].back()["type"], "builtins.dict");
}

TEST_F(HeapVerbs, WhyOfWhatIsNotThere) {
  EXPECT_EQ(world_.run({"why", "4242", "--type", "app.Nothing"}), 1);
  EXPECT_THAT(world_.err(), HasSubstr("app.Nothing"));
  EXPECT_EQ(world_.run({"why", "4242", "--addr", "0x10"}), 1);
  EXPECT_THAT(world_.err(), HasSubstr("0x10"));
}

TEST_F(HeapVerbs, WhyWritesPicturesBySuffix) {
  EXPECT_EQ(world_.run({"why", "4242", "--type", "app.Session", "-o", path("why.svg")}), 0);
  EXPECT_EQ(world_.run({"why", "4242", "--type", "app.Session", "-o", path("why.dot")}), 0);
  std::ifstream svg(path("why.svg")), dot(path("why.dot"));
  std::string first;
  std::getline(svg, first);
  EXPECT_THAT(first, HasSubstr("<?xml"));
  std::getline(dot, first);
  EXPECT_THAT(first, HasSubstr("digraph"));
  EXPECT_EQ(world_.run({"why", "4242", "--type", "app.Session", "-o", path("why.svg")}), 7);
}

TEST_F(HeapVerbs, GcSaysWhatACollectionWouldFree) {
  EXPECT_EQ(world_.run({"gc", "4242"}), 0);
  EXPECT_THAT(world_.out(), HasSubstr("gc.collect() would free 112 B"));
  EXPECT_THAT(world_.out(), HasSubstr("app.Node"));
}

TEST_F(HeapVerbs, ASnapshotIsReadLikeAProcess) {
  const std::string file = taken("a.memsnap");
  EXPECT_EQ(world_.heap_looks, 1);
  EXPECT_EQ(world_.run({"heap", file}), 0);
  EXPECT_THAT(world_.out(), HasSubstr("app.Session"));
  EXPECT_EQ(world_.run({"why", file, "--type", "app.Session", "--json"}), 0);
  EXPECT_EQ(world_.run({"gc", file}), 0);
  EXPECT_EQ(world_.heap_looks, 1);
}

TEST_F(HeapVerbs, SnapshotNamesAreExpandedAndNeverReplacedUnasked) {
  EXPECT_EQ(world_.run({"snapshot", "4242", "-o", path("%n-%p.memsnap"), "--json"}), 0);
  EXPECT_EQ(Json::parse(world_.out())["file"], path("python3-4242.memsnap"));
  EXPECT_EQ(world_.run({"snapshot", "4242", "-o", path("%n-%p.memsnap")}), 7);
  EXPECT_THAT(world_.err(), HasSubstr("--force"));
  EXPECT_EQ(world_.run({"snapshot", "4242", "-o", path("%n-%p.memsnap"), "--force"}), 0);
  world_.heap_looks = 0;
  EXPECT_EQ(world_.run({"snapshot", "4242", "-o", path("python3-4242.memsnap")}), 7);
  EXPECT_EQ(world_.heap_looks, 0);  // known before the process was touched
  EXPECT_EQ(world_.run({"snapshot", "4242", "-o", "/no/such/x.memsnap"}), 7);
  EXPECT_EQ(world_.heap_looks, 0);
}

TEST_F(HeapVerbs, ACoreFileIsTakenInsteadOfAProcess) {
  EXPECT_EQ(world_.run({"snapshot", "--core", "/some/core", "-o", path("c.memsnap")}), 0);
  EXPECT_EQ(world_.run({"snapshot", "--core", "/no/core", "-o", path("d.memsnap")}), 1);
}

TEST_F(HeapVerbs, DiffOfSnapshotsByTypeAndOwner) {
  const std::string a = taken("a.memsnap"), b = taken("b.memsnap"), c = taken("c.memsnap");
  EXPECT_EQ(world_.run({"diff", a, b, c}), 0);
  EXPECT_THAT(world_.out(), HasSubstr("app.Session"));
  EXPECT_THAT(world_.out(), HasSubstr("app.SESSIONS"));
  EXPECT_EQ(world_.run({"diff", a, b, "--by", "owner"}), 0);
  EXPECT_THAT(world_.out(), Not(HasSubstr("builtins.bytes  ")));
  EXPECT_EQ(world_.run({"diff", a, b, "--by", "line"}), 2);
  EXPECT_EQ(world_.run({"diff", a, b, "--json"}), 0);
  EXPECT_EQ(Json::parse(world_.out())["snapshots"].size(), 2U);
}

TEST_F(HeapVerbs, DiffOfSnapshotsFailsOnWhatTheHeapHolds) {
  const std::string a = taken("a.memsnap"), b = taken("b.memsnap");
  EXPECT_EQ(world_.run({"diff", a, b, "--fail-on", "heap.objects>1e6"}), 0) << world_.err();
  EXPECT_EQ(world_.run({"diff", a, b, "--fail-on", "heap.objects>1"}), 8);
  EXPECT_THAT(world_.err(), HasSubstr("objects"));
  EXPECT_EQ(world_.run({"diff", a, b, "--fail-on", "heap.bytes>1", "--json"}), 8);
  EXPECT_EQ(Json::parse(world_.out())["fail_on"]["met"], true);
}

TEST_F(HeapVerbs, SnapshotsAndRecordingsDoNotMix) {
  const std::string a = taken("a.memsnap");
  write("b.memspy", "SQLite format 3");
  EXPECT_EQ(world_.run({"diff", a, path("b.memspy")}), 2);
  EXPECT_THAT(world_.err(), HasSubstr("recordings and snapshots"));
}

TEST_F(HeapVerbs, ReportMakesEveryFormatOfASnapshot) {
  const std::string a = taken("a.memsnap");
  for (const char* format :
       {"text", "json", "html", "svg", "heapsnapshot", "pprof", "folded", "speedscope"}) {
    EXPECT_EQ(world_.run({"report", a, "-f", format}), 0) << format << world_.err();
    EXPECT_FALSE(world_.out().empty());
  }
  EXPECT_EQ(world_.run({"report", a, "-o", path("x.heapsnapshot")}), 0);
  std::ifstream file(path("x.heapsnapshot"));
  std::string first;
  std::getline(file, first);
  EXPECT_EQ(first.rfind("{\"snapshot\":", 0), 0U);
  EXPECT_EQ(world_.run({"report", a, "-f", "tree"}), 2);
  EXPECT_THAT(world_.err(), HasSubstr("heapsnapshot"));
}

TEST_F(HeapVerbs, FilesThatAreNoSnapshotsAreNamed) {
  write("empty.memsnap", "");
  write("text.memsnap", "not a snapshot at all");
  for (const char* name : {"empty.memsnap", "text.memsnap"}) {
    EXPECT_EQ(world_.run({"heap", path(name)}), 2) << name;
    EXPECT_THAT(world_.err(), HasSubstr(name));
    EXPECT_EQ(world_.run({"report", path(name), "-f", "json"}), 2) << name;
  }
  EXPECT_EQ(world_.run({"heap", path("missing.memsnap")}), 2);
  EXPECT_THAT(world_.err(), HasSubstr("missing.memsnap"));
}

TEST(PhaseProgressTest, IsSilentWithoutATerminal) {
  FakeWorld world;
  PhaseProgress progress(world.env);
  progress.show("copying memory", 0.5);
  progress.clear();
  EXPECT_EQ(world.err(), "");
}

TEST(PhaseProgressTest, DrawsABarAndAnEstimate) {
  using namespace std::chrono_literals;
  EXPECT_EQ(progress_line("copying memory", 0.5, 0ns),
            "copying memory           [##########----------]  50 %");
  EXPECT_THAT(progress_line("copying memory", 0.25, 1s), HasSubstr("3.0 s left"));
  EXPECT_THAT(progress_line("copying memory", 7, 0ns), HasSubstr("100 %"));
}

}  // namespace
}  // namespace memspy::cli

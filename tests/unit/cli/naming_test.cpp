// Names of native frames while a run goes on, and what top and attach make of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/attach_view.h"
#include "cli/debug_packages.h"
#include "cli/debuginfod.h"
#include "cli/naming_sink.h"
#include "cli/top_model.h"
#include "cli/top_view.h"
#include "recording/profile.h"
#include "support/result_matchers.h"
#include "support/sample_run.h"
#include "support/temp_dir.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::FakeWorld;
using memspy::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

constexpr ProcessIndex kProcess{1};
constexpr ThreadIndex kThread{1};
const Frame kWork{"work", "/srv/a.py", 3, FrameKind::kPython};

Frame address(std::uint64_t at) {
  Frame frame;
  frame.kind = FrameKind::kNative;
  frame.code = {"/lib/libc.so.6", "abcd", at};
  return frame;
}

// 16 and 32 are of one function; at 48 another one is inlined into it; of 64 nothing is known.
class Naming : public ::testing::Test {
 protected:
  Naming() : sink_(profile_, [this](const Frame& frame) { return name(frame); }) {}
  std::vector<Frame> name(const Frame& frame) {
    asked_.push_back(frame.code.address);
    Frame malloc = frame;
    malloc.function = "malloc";
    malloc.file = "malloc.c";
    Frame inlined = malloc;
    inlined.function = "tcache_get";
    if (frame.code.address == 64) return {};
    return frame.code.address == 48 ? std::vector<Frame>{inlined, malloc} : std::vector{malloc};
  }
  void SetUp() override {
    ASSERT_THAT(sink_.on_frame({1}, kWork), IsOk());
    ASSERT_THAT(sink_.on_stack({1}, {kNoStack, {1}}), IsOk());
    for (std::uint32_t id = 2; id <= 5; ++id) {
      ASSERT_THAT(sink_.on_frame({id}, address(16 * (id - 1))), IsOk());
      ASSERT_THAT(sink_.on_stack({id}, {StackId{1}, {id}}), IsOk());
    }
  }
  std::string names_of(StackId stack) const {
    std::string text;
    for (const FrameId id : profile_.stacks.frames_of(stack))
      text += profile_.stacks.frame(id).function + ";";
    return text;
  }
  GrowthRecord growth(StackId stack, std::uint64_t bytes) const {
    GrowthRecord record;
    record.process = kProcess;
    record.thread = kThread;
    record.stack = stack;
    record.touched_bytes = bytes;
    record.samples = 1;
    return record;
  }

  recording::Profile profile_;  // refuses ids that are not dense
  NamingSink sink_;
  std::vector<std::uint64_t> asked_;
};

TEST_F(Naming, addresses_of_one_function_are_one_stack) {
  ASSERT_THAT(sink_.on_growth(growth({2}, 4096)), IsOk());
  ASSERT_THAT(sink_.on_growth(growth({3}, 8192)), IsOk());
  ASSERT_EQ(profile_.growth.size(), 1U);
  EXPECT_EQ(profile_.growth.begin()->second.touched_bytes, 12288U);
  EXPECT_EQ(names_of(profile_.growth.begin()->first.stack), "work;malloc;");
}

TEST_F(Naming, an_address_of_inlined_functions_becomes_several_frames) {
  ASSERT_THAT(sink_.on_growth(growth({4}, 4096)), IsOk());
  EXPECT_EQ(names_of(profile_.growth.begin()->first.stack), "work;malloc;tcache_get;");
  EXPECT_EQ(profile_.stacks.stack_count(), 4U);  // work, malloc, tcache_get, the unknown one
}

TEST_F(Naming, what_comes_after_an_expansion_stands_on_all_of_it) {
  ASSERT_THAT(sink_.on_stack({6}, {StackId{4}, {1}}), IsOk());
  ASSERT_THAT(sink_.on_growth(growth({6}, 4096)), IsOk());
  EXPECT_EQ(names_of(profile_.growth.begin()->first.stack), "work;malloc;tcache_get;work;");
}

TEST_F(Naming, what_has_no_name_stays_an_address) {
  ASSERT_THAT(sink_.on_growth(growth({5}, 4096)), IsOk());
  const auto frames = profile_.stacks.frames_of(profile_.growth.begin()->first.stack);
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(profile_.stacks.frame(frames[1]), address(64));
}

TEST_F(Naming, time_and_survivors_follow_their_stacks) {
  ASSERT_THAT(sink_.on_allocation({1s, kProcess, kThread, {2}, 3ms, 3}), IsOk());
  ASSERT_THAT(sink_.on_allocation({1s, kProcess, kThread, {3}, 4ms, 4}), IsOk());
  ASSERT_THAT(sink_.on_allocation({1s, kProcess, kThread, kNoStack, 50ms, 50}), IsOk());
  EXPECT_EQ(profile_.allocating().time, 7ms);
  EXPECT_EQ(profile_.not_allocating().time, 50ms);
  ASSERT_EQ(profile_.allocation.size(), 2U);
  EXPECT_EQ(names_of(profile_.allocation.rbegin()->first.stack), "work;malloc;");
  LiveRecord live;
  live.stack = {4};
  ASSERT_THAT(sink_.on_live(live), IsOk());
  EXPECT_EQ(names_of(profile_.live.front().stack), "work;malloc;tcache_get;");
}

TEST_F(Naming, each_address_is_asked_for_once_and_nothing_else) {
  ASSERT_THAT(sink_.on_growth(growth({2}, 4096)), IsOk());
  EXPECT_EQ(asked_, (std::vector<std::uint64_t>{16, 32, 48, 64}));
}

TEST_F(Naming, what_was_not_defined_is_an_error) {
  EXPECT_THAT(sink_.on_growth(growth({9}, 4096)), Not(IsOk()));
  EXPECT_THAT(sink_.on_stack({9}, {StackId{1}, {1}}), Not(IsOk()));
  EXPECT_THAT(sink_.on_stack({6}, {StackId{1}, {9}}), Not(IsOk()));
  EXPECT_THAT(sink_.on_frame({9}, kWork), Not(IsOk()));
}

// `Cache.put` has called C, `load` has not.
class NativeTop : public ::testing::Test {
 protected:
  NativeTop() {
    EXPECT_THAT(memspy::testing::tell_unfinished_run(model_), IsOk());
    query_.sort = TopSort::kOwn;
  }
  TopRow row(const std::string& function) const {
    for (const TopRow& row : model_.rows(query_))
      if (row.function == function) return row;
    ADD_FAILURE() << "no row of " << function;
    return {};
  }
  // So that it is the line which grows most.
  void grow_cache() {
    const StackTable& stacks = model_.profile().stacks;
    StackId stack{1};
    while (stacks.frame(stacks.node(stack).frame).function != "array_empty") ++stack.value;
    GrowthRecord growth;
    growth.time = 2s;
    growth.process = kProcess;
    growth.thread = kThread;
    growth.stack = stack;
    growth.touched_bytes = 200 << 20;
    growth.samples = 1;
    EXPECT_THAT(model_.on_growth(growth), IsOk());
  }

  TopModel model_;
  TopQuery query_;
};

TEST_F(NativeTop, own_goes_to_the_innermost_frame_or_to_the_line_that_called_it) {
  EXPECT_EQ(row("array_empty").own, 16 << 20);
  EXPECT_EQ(row("Cache.put").own, 0);
  query_.past_native = true;
  EXPECT_EQ(row("array_empty").own, 0);
  EXPECT_EQ(row("array_empty").cumulative, 16 << 20);
  EXPECT_EQ(row("Cache.put").own, 16 << 20);
  EXPECT_EQ(row("Cache.put").samples, 3U);
  EXPECT_EQ(row("load").own, 54 << 20);  // [gc] is no native code
}

TEST_F(NativeTop, a_line_ends_in_what_it_called_most) {
  query_.past_native = true;
  EXPECT_EQ(model_.ends_in(row("Cache.put"), true)->function, "array_empty");
  EXPECT_EQ(model_.ends_in(row("Cache.put"), true)->own, 16 << 20);
  EXPECT_FALSE(model_.ends_in(row("load"), true).has_value());
}

TEST_F(NativeTop, attach_names_the_line_and_what_it_ends_in) {
  grow_cache();
  const AttachStyle native{true, true};
  EXPECT_THAT(attach_status_text(model_, native, 2s),
              HasSubstr("+216 MiB Cache.put (cache.py:88), ends in array_empty "
                        "(_multiarray_umath.so)\n"));
  const Json top = attach_status_json(model_, native, {4242})["top"];
  EXPECT_EQ(top["function"], "Cache.put");
  EXPECT_EQ(top["ends_in"]["function"], "array_empty");
  EXPECT_EQ(top["ends_in"]["file"], "/usr/lib/_multiarray_umath.so");
  EXPECT_THAT(attach_status_text(model_, {}, 2s), Not(HasSubstr("ends in")));
  EXPECT_FALSE(attach_status_json(model_, {}, {4242})["top"].contains("ends_in"));
}

TEST_F(NativeTop, a_process_of_several_has_a_line_of_python) {
  grow_cache();
  EXPECT_EQ(model_.workers(/*by_line=*/true).front().top->function, "Cache.put");
}

TEST(TopJson, native_code_says_its_module) {
  TopModel model;
  Frame frame = address(0);
  frame.function = "malloc";
  frame.file = "malloc.c";
  EXPECT_THAT(model.on_header(memspy::testing::sample_header()), IsOk());
  EXPECT_THAT(model.on_frame({1}, kWork), IsOk());
  EXPECT_THAT(model.on_stack({1}, {kNoStack, {1}}), IsOk());
  EXPECT_THAT(model.on_frame({2}, frame), IsOk());
  EXPECT_THAT(model.on_stack({2}, {StackId{1}, {2}}), IsOk());
  GrowthRecord growth;
  growth.time = 1s;
  growth.process = kProcess;
  growth.stack = {2};
  growth.touched_bytes = 4096;
  EXPECT_THAT(model.on_growth(growth), IsOk());
  EXPECT_THAT(model.on_tick_end(1s), IsOk());
  const Json json = top_json(model, {{4242}, "python3", "3.11.7", "faults"}, {}, 5);
  EXPECT_EQ(json["rows"][0]["module"], "/lib/libc.so.6");
  EXPECT_FALSE(json["rows"][1].contains("module"));
  EXPECT_EQ(json["hottest_stack"][0]["module"], "/lib/libc.so.6");
}

// A stack of `depth` functions of C below a line of Python.
class DeepTop : public ::testing::Test {
 protected:
  void tell(std::uint32_t depth) {
    EXPECT_THAT(model_.on_header(memspy::testing::sample_header()), IsOk());
    EXPECT_THAT(model_.on_frame({1}, kWork), IsOk());
    EXPECT_THAT(model_.on_stack({1}, {kNoStack, {1}}), IsOk());
    for (std::uint32_t i = 1; i <= depth; ++i) {
      Frame frame = address(0);
      frame.function = "a_function_of_c_with_a_name_that_is_long_" + std::to_string(i);
      frame.file = "file.c";
      EXPECT_THAT(model_.on_frame({i + 1}, frame), IsOk());
      EXPECT_THAT(model_.on_stack({i + 1}, {StackId{i}, {i + 1}}), IsOk());
    }
    GrowthRecord growth;
    growth.time = 1s;
    growth.process = kProcess;
    growth.stack = {depth + 1};
    growth.touched_bytes = 4096;
    EXPECT_THAT(model_.on_growth(growth), IsOk());
    EXPECT_THAT(model_.on_tick_end(1s), IsOk());
  }
  std::string screen() const {
    std::string text;
    for (const ScreenLine& line : top_screen(model_, {{4242}, "python3", "", "faults"}, {}, 80, 24))
      text += line.text + '\n';
    return text;
  }

  TopModel model_;
};

TEST_F(DeepTop, the_hottest_stack_shows_the_line_of_python) {
  tell(9);
  EXPECT_THAT(screen(), HasSubstr("_5 (file.c)\n  … 4 more of native code\n  work (a.py:3)\nq"));
}

TEST_F(DeepTop, a_stack_that_shows_its_line_anyway_is_not_cut) {
  tell(5);
  EXPECT_THAT(screen(), HasSubstr("_1 (file.c)\n  work (a.py:3)\nq"));
  EXPECT_THAT(screen(), Not(HasSubstr("more of native code")));
}

TEST(NativeVerbs, ask_for_native_frames) {
  FakeWorld world;
  EXPECT_EQ(world.run({"attach", "4242", "-n", "--json"}), 0) << world.err();
  EXPECT_TRUE(world.script.asked.native);
  std::istringstream lines(world.out());
  std::string line;
  std::getline(lines, line);
  const Json top = Json::parse(line)["top"];
  EXPECT_EQ(top["function"], "load");
  EXPECT_TRUE(top.contains("ends_in"));
  EXPECT_TRUE(top["ends_in"].is_null());
  world.script.ended_by = "target exit 0";
  EXPECT_EQ(world.run({"top", "4242", "--native", "-b", "-n", "50"}), 0) << world.err();
  EXPECT_TRUE(world.script.asked.native);
  EXPECT_THAT(world.out(), HasSubstr("array_empty (_multiarray_umath.so)"));
  EXPECT_EQ(world.run({"top", "4242", "-b", "-n", "2"}), 0);
  EXPECT_FALSE(world.script.asked.native);  // -n is the iterations
}

TEST(DebugPackages, AreThoseOfTheListThatHasTheFile) {
  const memspy::testing::TempDir root;
  const std::string info = root.file("var/lib/dpkg/info");
  std::filesystem::create_directories(info);
  std::ofstream(info + "/libc6:amd64.list") << "/.\n/lib/x86_64-linux-gnu/libc.so.6\n";
  std::ofstream(info + "/libfoo1.list") << "/.\n/usr/lib/libfoo.so.1.2\n";
  ASSERT_EQ(::mkfifo((info + "/pipe.list").c_str(), 0600), 0);  // must not be waited for
  const auto found =
      find_debug_packages(root.path(), {"/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib/libfoo.so.1.2",
                                        "/usr/lib/libfoo.so.1", "libfoo.so.1.2"});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(*found, (std::map<std::string, std::string>{
                        {"/lib/libfoo.so.1.2", "libfoo1-dbgsym"},
                        {"/usr/lib/x86_64-linux-gnu/libc.so.6", "libc6-dbg"}}));
  EXPECT_FALSE(find_debug_packages(root.file("elsewhere"), {"/usr/lib/libfoo.so.1.2"}));
}

TEST(Debuginfod, ServersOfTheSystemStandInOneLine) {
  const memspy::testing::TempDir folder;
  ::unsetenv("DEBUGINFOD_URLS");
  std::ofstream(folder.file("a.urls")) << "https://a.example/\n";
  std::ofstream(folder.file("README")) << "no server\n";
  EXPECT_EQ(debuginfod_servers(folder.path()), "https://a.example/");
  std::ofstream(folder.file("b.urls")) << "https://b.example/\n\n";
  const std::string both = debuginfod_servers(folder.path());
  EXPECT_EQ(both.find_first_of("\n\t"), std::string::npos);
  EXPECT_THAT(both, HasSubstr("https://b.example/"));
  EXPECT_EQ(debuginfod_servers(folder.file("elsewhere")), "");
}

}  // namespace
}  // namespace memspy::cli

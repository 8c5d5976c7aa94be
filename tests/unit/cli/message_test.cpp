// Exit codes, the three lines of a message, the picker, colours, standard output.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/exit_code.h"
#include "cli/fd_output.h"
#include "cli/hints.h"
#include "cli/process_list.h"
#include "support/result_matchers.h"
#include "unit/cli/fake_env.h"

namespace memspy::cli {
namespace {

using memspy::testing::FakeWorld;
using ::testing::HasSubstr;

TEST(ExitCodes, follow_the_table) {
  const std::vector<std::pair<Errc, int>> table{
      {Errc::kInternal, 1},   {Errc::kUsage, 2},         {Errc::kNoSuchProcess, 3},
      {Errc::kPermission, 4}, {Errc::kUnsupported, 5},   {Errc::kTargetGone, 6},
      {Errc::kOutput, 7},     {Errc::kAlreadyTraced, 9}, {Errc::kUnreadable, 1},
      {Errc::kCorrupt, 1},    {Errc::kTimeout, 1}};
  for (const auto& [code, exit] : table) EXPECT_EQ(static_cast<int>(exit_code_for(code)), exit);
}

TEST(ExitCodes, every_error_of_a_session_comes_out) {
  for (const Errc code : {Errc::kNoSuchProcess, Errc::kPermission, Errc::kUnsupported,
                          Errc::kTargetGone, Errc::kAlreadyTraced}) {
    FakeWorld world;
    world.script.start_error = make_error(code, "no");
    EXPECT_EQ(world.run({"attach", "4242"}), static_cast<int>(exit_code_for(code)));
    world.look_error = world.script.start_error;
    EXPECT_EQ(world.run({"dump", "4242"}), static_cast<int>(exit_code_for(code)));
  }
}

TEST(Messages, are_three_lines) {
  Error error =
      make_error(Errc::kPermission, "cannot read the memory of PID 1234 (python3, uid 1000)");
  error.why = "kernel.yama.ptrace_scope is 1, and memspy (uid 1000) is not its parent";
  error.hint = "sudo memspy ..., or: setcap cap_sys_ptrace+ep $(command -v memspy)";
  EXPECT_EQ(format_error(error),
            "memspy: cannot read the memory of PID 1234 (python3, uid 1000)\n"
            "  why:  kernel.yama.ptrace_scope is 1, and memspy (uid 1000) is not its parent\n"
            "  try:  sudo memspy ..., or: setcap cap_sys_ptrace+ep $(command -v memspy)\n");
}

TEST(Messages, use_context_errno_and_the_hint_of_the_code) {
  Error error = make_error(Errc::kAlreadyTraced, "cannot seize 7", EPERM);
  error.context = {"attaching to 7"};
  EXPECT_EQ(format_error(error),
            "memspy: cannot seize 7: Operation not permitted\n"
            "  why:  while attaching to 7\n"
            "  try:  end the other tracer first\n");
}

TEST(Messages, indent_further_lines) {
  Error error = make_error(Errc::kUnsupported, "not Python");
  error.why = "tried a\ntried b";
  EXPECT_THAT(format_error(error), HasSubstr("  why:  tried a\n        tried b\n"));
}

TEST(Picker, takes_the_only_process_and_says_so) {
  FakeWorld world;
  world.rows = {{.pid = {4242}, .user = "app", .command = "python3 app.py"}};
  EXPECT_EQ(world.run({"dump"}), 0) << world.err();
  EXPECT_THAT(world.err(), HasSubstr("taking the only Python process: 4242 (python3 app.py)"));
}

TEST(Picker, lists_several_and_exits_2_without_a_terminal) {
  FakeWorld world;
  world.rows = {{.pid = {7}, .user = "app", .command = "python3 a.py"},
                {.pid = {8}, .user = "app", .command = "python3 b.py"}};
  EXPECT_EQ(world.run({"dump"}), 2);
  EXPECT_THAT(world.err(), HasSubstr("there are 2 Python processes"));
  EXPECT_THAT(world.err(), HasSubstr("python3 b.py"));
}

TEST(Picker, asks_at_a_terminal) {
  FakeWorld world;
  world.env.in_terminal = world.env.err_terminal = true;
  world.rows = {{.pid = {7}, .user = "app", .command = "python3 a.py"},
                {.pid = {4242}, .user = "app", .command = "python3 b.py"}};
  world.type("9\nx\n2\n");
  const auto pid = resolve_target({}, world.env);
  ASSERT_TRUE(pid.has_value());
  EXPECT_EQ(*pid, Pid{4242});
  world.type("q\n");
  EXPECT_THAT(resolve_target({}, world.env), memspy::testing::HasErrc(Errc::kUsage));
}

TEST(Picker, says_when_there_is_none) {
  FakeWorld world;
  EXPECT_EQ(world.run({"attach"}), 2);
  EXPECT_THAT(world.err(), HasSubstr("no Python process was found"));
}

TEST(Colour, flag_then_no_color_then_force_then_terminal) {
  EXPECT_TRUE(wants_colour(false, true, nullptr, nullptr));
  EXPECT_FALSE(wants_colour(false, false, nullptr, nullptr));
  EXPECT_FALSE(wants_colour(true, true, nullptr, "1"));
  EXPECT_FALSE(wants_colour(false, true, "1", "1"));
  EXPECT_TRUE(wants_colour(false, true, "", nullptr));
  EXPECT_TRUE(wants_colour(false, false, nullptr, "1"));
  EXPECT_FALSE(wants_colour(false, false, nullptr, "0"));
}

TEST(StandardOutput, remembers_why_a_write_failed) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  {
    FdOutput buffer(full);
    std::ostream out(&buffer);
    out << "text" << std::flush;
    EXPECT_FALSE(out.good());
    EXPECT_EQ(buffer.error(), ENOSPC);
  }
  ::close(full);
}

TEST(StandardOutput, writes_more_than_its_buffer) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  {
    FdOutput buffer(ends[1]);
    std::ostream out(&buffer);
    out << std::string(40000, 'x');
  }
  ::close(ends[1]);
  std::size_t total = 0;
  char chunk[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], chunk, sizeof chunk)) > 0;)
    total += static_cast<std::size_t>(n);
  ::close(ends[0]);
  EXPECT_EQ(total, 40000U);
}

}  // namespace
}  // namespace memspy::cli

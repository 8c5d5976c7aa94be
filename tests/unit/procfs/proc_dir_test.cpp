#include "procfs/proc_dir.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "procfs/users.h"
#include "support/fake_proc_dir.h"
#include "support/result_matchers.h"

namespace memspy::procfs {
namespace {

using ::memspy::testing::FakeProcDir;
using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;
using ::testing::Contains;
using ::testing::ElementsAre;

constexpr pid_t kPid = 4242;

TEST(ProcDir, ReadsAFakeProcess) {
  FakeProcDir fake;
  fake.add(kPid, {.comm = "py (1)", .ppid = 17, .start_ticks = 99});
  fake.write(kPid, "maps", "1000-2000 r--p 00000000 00:00 0 [heap]\n");
  fake.write(kPid, "smaps_rollup", "Rss: 4 kB\n");
  fake.link(kPid, "exe", "/usr/bin/python3 (deleted)");
  fake.write(kPid, "task/4242/syscall", "running\n");
  fake.write(kPid, "task/4250/comm", "worker 1\n");
  fake.write(kPid, "fd/0", "");
  fake.write(kPid, "fd/1", "");
  const ProcDir proc(fake.root(), fake.host_root());
  EXPECT_FALSE(proc.live());
  EXPECT_EQ(proc.stat(Pid{kPid})->comm, "py (1)");
  EXPECT_EQ(proc.status(Pid{kPid})->uid.real, 1000U);
  EXPECT_EQ(proc.status(Pid{kPid}, Tid{kPid})->threads, 1U);
  EXPECT_EQ(proc.statm(Pid{kPid})->resident_pages, 2560U);
  EXPECT_EQ(proc.maps(Pid{kPid})->size(), 1U);
  EXPECT_EQ(proc.smaps_rollup(Pid{kPid})->rss_bytes, 4096U);
  EXPECT_THAT(proc.command_line(Pid{kPid}).value(), ElementsAre("python3", "app.py"));
  EXPECT_EQ(proc.executable(Pid{kPid}).value(), "/usr/bin/python3 (deleted)");
  EXPECT_EQ(proc.syscall(Pid{kPid}, Tid{kPid}).value(), "running");
  EXPECT_EQ(proc.comm(Pid{kPid}, Tid{4250}).value(), "worker 1");
  EXPECT_THAT(proc.threads(Pid{kPid}).value(), ElementsAre(Tid{kPid}, Tid{4250}));
  EXPECT_EQ(proc.open_files(Pid{kPid}).value(), 2U);
  EXPECT_EQ(proc.identity(Pid{kPid}).value(), (ProcessIdentity{Pid{kPid}, 99}));
  EXPECT_THAT(proc.processes(), ElementsAre(Pid{kPid}));
}

TEST(ProcDir, TellsAGoneProcessFromAMissingFile) {
  FakeProcDir fake;
  fake.make_process(kPid);
  const ProcDir proc(fake.root());
  EXPECT_THAT(proc.smaps_rollup(Pid{kPid}), HasErrc(Errc::kUnsupported));
  EXPECT_THAT(proc.executable(Pid{kPid}), HasErrc(Errc::kUnsupported));
  EXPECT_THAT(proc.comm(Pid{kPid}, Tid{1}), HasErrc(Errc::kNoSuchProcess));
  fake.remove(kPid);
  EXPECT_FALSE(proc.exists(Pid{kPid}));
  EXPECT_THAT(proc.stat(Pid{kPid}), HasErrc(Errc::kNoSuchProcess));
  EXPECT_THAT(proc.threads(Pid{kPid}), HasErrc(Errc::kNoSuchProcess));
  EXPECT_THAT(proc.executable(Pid{kPid}), HasErrc(Errc::kNoSuchProcess));
  EXPECT_THAT(proc.open_files(Pid{kPid}), HasErrc(Errc::kNoSuchProcess));
  EXPECT_THAT(proc.children(Pid{kPid}), HasErrc(Errc::kNoSuchProcess));
  EXPECT_THAT(proc.cgroup_memory(Pid{kPid}), HasErrc(Errc::kNoSuchProcess));
}

TEST(ProcDir, ChildrenOfAllThreadsOrByParent) {
  FakeProcDir fake;
  fake.add(kPid, {});
  fake.add(5000, {.ppid = kPid});
  fake.add(5001, {.ppid = 1});
  const ProcDir proc(fake.root());
  EXPECT_THAT(proc.children(Pid{kPid}).value(), ElementsAre(Pid{5000}));
  fake.write(kPid, "task/4242/children", "7 ");
  fake.write(kPid, "task/4243/children", "6 8 ");
  EXPECT_THAT(proc.children(Pid{kPid}).value(), ElementsAre(Pid{6}, Pid{7}, Pid{8}));
}

TEST(ProcDir, CorruptTextNamesTheFile) {
  FakeProcDir fake;
  fake.write(kPid, "stat", "nonsense");
  const auto stat = ProcDir(fake.root()).stat(Pid{kPid});
  ASSERT_THAT(stat, HasErrc(Errc::kCorrupt));
  EXPECT_THAT(describe(stat.error()), ::testing::HasSubstr("4242/stat"));
}

TEST(ProcDir, SettingsOfTheHost) {
  FakeProcDir fake;
  fake.write_setting("sys/kernel/perf_event_paranoid", "2\n");
  fake.write_host("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  const ProcDir proc(fake.root(), fake.host_root());
  EXPECT_EQ(proc.setting("sys/kernel/perf_event_paranoid"), "2");
  EXPECT_EQ(proc.setting("sys/kernel/yama/ptrace_scope"), std::nullopt);
  EXPECT_EQ(proc.host_file("/sys/kernel/mm/transparent_hugepage/enabled"),
            "always [madvise] never");
}

TEST(UserNames, FromPasswd) {
  const UserNames names(
      "root:x:0:0:root:/root:/bin/sh\nbad\nx:y\nz:x:notanumber:1\napp:x:33:33::/:\nagain:x:33:1\n");
  EXPECT_EQ(names.find(0), "root");
  EXPECT_EQ(names.label(33), "uid 33 (app)") << "the first of two names";
  EXPECT_EQ(names.label(4711), "uid 4711");
  EXPECT_EQ(UserNames("").find(0), "");
}

// The kernel under the test, not a captured one: parsers must agree with what it prints today.
TEST(ProcDirLive, ReadsThisProcess) {
  const ProcDir proc;
  const Pid self{::getpid()};
  const Tid tid{static_cast<pid_t>(::syscall(SYS_gettid))};
  ASSERT_THAT(proc.stat(self), IsOk());
  EXPECT_EQ(proc.stat(self)->ppid, Pid{::getppid()});
  ASSERT_THAT(proc.status(self), IsOk());
  EXPECT_EQ(proc.status(self)->uid.effective, ::geteuid());
  const auto map = proc.maps(self);
  ASSERT_THAT(map, IsOk());
  const int local = 0;
  const auto here = reinterpret_cast<std::uint64_t>(&local);
  const Mapping* stack = find_mapping(*map, RemoteAddr{here});
  ASSERT_NE(stack, nullptr);
  EXPECT_TRUE(stack->readable && stack->writable);
  EXPECT_THAT(proc.threads(self).value(), Contains(tid));
  EXPECT_THAT(proc.processes(), Contains(self));
  EXPECT_GT(proc.statm(self)->rss_bytes(), 0U);
  EXPECT_GE(proc.open_files(self).value(), 3U);
  EXPECT_THAT(proc.identity(self), IsOk());
}

TEST(ProcDirLive, AZombieExistsAndHasNoMemory) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  const ProcDir proc;
  EXPECT_TRUE(proc.stat(Pid{child})->zombie());
  EXPECT_EQ(proc.status(Pid{child})->vm_rss_bytes, std::nullopt);
  EXPECT_THAT(proc.command_line(Pid{child}).value(), ::testing::IsEmpty());
  EXPECT_THAT(proc.children(Pid{::getpid()}).value(), Contains(Pid{child}));
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(proc.stat(Pid{child}), HasErrc(Errc::kNoSuchProcess));
}

}  // namespace
}  // namespace memspy::procfs

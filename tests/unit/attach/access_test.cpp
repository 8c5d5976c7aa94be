#include "attach/access.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <map>

#include <spdlog/fmt/fmt.h>

#include "support/fake_proc_dir.h"
#include "support/result_matchers.h"

namespace memspy::attach {
namespace {

using ::memspy::testing::FakeProcDir;
using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Pid kTarget{4242};

Attempts answering(int (*read)(const procfs::ProcDir&, Pid)) {
  auto attempts = Attempts::none();
  attempts.read_memory = read;
  return attempts;
}
Attempts refused() {
  return answering([](const procfs::ProcDir&, Pid) { return EPERM; });
}
Attempts allowed() {
  return answering([](const procfs::ProcDir&, Pid) { return 0; });
}

Attempts without_ptrace() {
  auto attempts = allowed();
  attempts.trace = [] { return EPERM; };
  return attempts;
}

// A host on which memspy (PID 9000) looks at PID 4242. The target's files belong to its user: if
// not, it would look like one that is not dumpable.
class Host {
 public:
  const unsigned uid = ::geteuid() == 0 ? 1000 : ::geteuid();

  Host() { target({}); }
  void target(FakeProcDir::Process process) {
    process.uid = uid;
    fake.add(kTarget.value, process);
    if (::geteuid() == 0) {
      EXPECT_EQ(::chown(proc().path(kTarget, "stat").c_str(), uid, uid), 0);
    }
  }
  void self(unsigned self_uid, const std::string& capabilities = "0",
            const std::string& more = "") {
    FakeProcDir::Process me;
    me.comm = "memspy";
    me.uid = self_uid;
    me.more_status = "CapEff:\t" + capabilities + "\nCapPrm:\t" + capabilities + "\n" + more;
    fake.add(9000, me);
    fake.write_setting("self/status", proc().text(Pid{9000}, "status").value());
  }
  void yama(int scope) {
    fake.write_setting("sys/kernel/yama/ptrace_scope", fmt::format("{}\n", scope));
  }
  void passwd(const std::string& text) { fake.write_host("/etc/passwd", text); }
  procfs::ProcDir proc() const { return procfs::ProcDir(fake.root(), fake.host_root()); }
  Error denial() const { return explain_denial(proc(), kTarget, EPERM); }

  FakeProcDir fake;
};

constexpr const char* kPtrace = "0000000000080000";

TEST(CheckAccess, NothingInTheWay) {
  Host host;
  host.self(host.uid);
  EXPECT_THAT(check_access(host.proc(), kTarget, allowed()), IsOk());
  EXPECT_THAT(check_access(host.proc(), kTarget, Attempts::none()), IsOk());
}

TEST(CheckAccess, AJobStoppedProcessIsNoError) {
  Host host;
  host.target({.state = 'T'});
  EXPECT_THAT(check_access(host.proc(), kTarget, allowed()), IsOk());
}

TEST(CheckAccess, NoSuchProcess) {
  Host host;
  const auto result = check_access(host.proc(), Pid{77}, allowed());
  ASSERT_THAT(result, HasErrc(Errc::kNoSuchProcess));
  EXPECT_EQ(result.error().message, "no process 77");
  EXPECT_THAT(result.error().hint, HasSubstr("another PID namespace"));
  EXPECT_THAT(check_access(host.proc(), Pid{0}, allowed()), HasErrc(Errc::kNoSuchProcess));
  EXPECT_THAT(check_access(host.proc(), Pid{-5}, allowed()), HasErrc(Errc::kNoSuchProcess));
}

TEST(CheckAccess, NoSuchProcessInsideAContainer) {
  Host host;
  host.fake.add(1, {.comm = "sh"});
  host.self(host.uid);
  const auto result = check_access(host.proc(), Pid{77}, allowed());
  ASSERT_THAT(result, HasErrc(Errc::kNoSuchProcess));
  EXPECT_THAT(result.error().why, HasSubstr("PID namespace"));
  EXPECT_THAT(result.error().hint,
              AllOf(HasSubstr("docker run --pid=container:"), HasSubstr("kubectl")));
}

TEST(CheckAccess, AThreadNamesItsProcess) {
  Host host;
  host.fake.add(4300, {.more_status = "Tgid:\t4242\n"});
  const auto result = check_access(host.proc(), Pid{4300}, allowed());
  ASSERT_THAT(result, HasErrc(Errc::kNoSuchProcess));
  EXPECT_EQ(result.error().message, "4300 is a thread, not a process");
  EXPECT_EQ(result.error().why, "it belongs to process 4242 (python3)");
  EXPECT_EQ(result.error().hint, "memspy ... --pid 4242");
}

TEST(CheckAccess, AZombieNamesItsParent) {
  Host host;
  host.fake.add(40, {.comm = "supervisor"});
  host.target({.state = 'Z', .ppid = 40});
  const auto result = check_access(host.proc(), kTarget, allowed());
  ASSERT_THAT(result, HasErrc(Errc::kNoSuchProcess));
  EXPECT_EQ(result.error().message, "process 4242 (python3) is a zombie");
  EXPECT_THAT(result.error().why, HasSubstr("PID 40 (supervisor)"));
}

TEST(CheckAccess, KernelThread) {
  Host host;
  host.target({.comm = "kworker/0:1", .kernel_thread = true});
  const auto result = check_access(host.proc(), kTarget, allowed());
  ASSERT_THAT(result, HasErrc(Errc::kUnsupported));
  EXPECT_EQ(result.error().message, "process 4242 (kworker/0:1) is a kernel thread");
}

TEST(CheckAccess, AnotherTracerIsNamed) {
  Host host;
  host.fake.add(55, {.comm = "gdb"});
  host.target({.more_status = "TracerPid:\t55\n"});
  const auto result = check_access(host.proc(), kTarget, allowed());
  ASSERT_THAT(result, HasErrc(Errc::kAlreadyTraced));
  EXPECT_EQ(result.error().message, "process 4242 (python3) is already traced by PID 55 (gdb)");
  EXPECT_THAT(result.error().hint, HasSubstr("kill 55"));
}

TEST(CheckAccess, GoneBetweenTheQuestions) {
  Host host;
  host.self(host.uid);
  const auto gone = answering([](const procfs::ProcDir&, Pid) { return ESRCH; });
  EXPECT_THAT(check_access(host.proc(), kTarget, gone), HasErrc(Errc::kNoSuchProcess));
}

TEST(CheckAccess, AMissingSystemCallIsSeccomp) {
  Host host;
  const auto result = check_access(host.proc(), kTarget,
                                   answering([](const procfs::ProcDir&, Pid) { return ENOSYS; }));
  ASSERT_THAT(result, HasErrc(Errc::kPermission));
  EXPECT_THAT(result.error().why, HasSubstr("seccomp"));
}

TEST(CheckAccess, MemoryWithoutPtraceIsSeccomp) {
  Host host;
  host.self(host.uid);
  const auto result = check_access(host.proc(), kTarget, without_ptrace());
  ASSERT_THAT(result, HasErrc(Errc::kPermission));
  EXPECT_THAT(result.error().why, HasSubstr("ptrace is forbidden"));
  EXPECT_THAT(result.error().hint, AllOf(HasSubstr("seccomp=unconfined"), HasSubstr("--engine rss")));
}

TEST(Diagnose, PtraceThatIsForbiddenFails) {
  Host host;
  host.self(host.uid);
  bool failed = false;
  for (const auto& finding : diagnose(host.proc(), kTarget, without_ptrace()))
    failed |= finding.check == "seccomp" && finding.level == FindingLevel::kFail;
  EXPECT_TRUE(failed);
}

TEST(Denial, YamaOne) {
  Host host;
  const unsigned uid = host.uid;
  host.self(uid);
  host.yama(1);
  host.passwd(fmt::format("root:x:0:0::/:/bin/sh\nalice:x:{}:1000::/:/bin/sh\n", uid));
  const auto error = host.denial();
  EXPECT_EQ(error.code, Errc::kPermission);
  EXPECT_EQ(error.sys, EPERM);
  EXPECT_EQ(error.message,
            fmt::format("cannot read the memory of PID 4242 (python3, uid {})", uid));
  EXPECT_EQ(error.why, fmt::format("kernel.yama.ptrace_scope is 1, and memspy (uid {} (alice)) is "
                                   "not its parent",
                                   uid));
  EXPECT_EQ(error.hint, "sudo memspy ..., or: setcap cap_sys_ptrace+ep $(command -v memspy)");
}

TEST(Denial, YamaByScope) {
  Host host;
  host.self(host.uid);
  host.yama(1);
  EXPECT_THAT(host.denial().why, HasSubstr("ptrace_scope is 1"));
  host.yama(2);
  EXPECT_THAT(host.denial().why, HasSubstr("ptrace_scope is 2: only CAP_SYS_PTRACE"));
  host.yama(3);
  EXPECT_THAT(host.denial().why, HasSubstr("ptrace_scope is 3"));
  EXPECT_THAT(host.denial().hint, HasSubstr("reboot"));
  host.yama(0);
  EXPECT_THAT(host.denial().why, Not(HasSubstr("ptrace_scope")));
  host.self(host.uid, kPtrace);
  host.yama(2);
  EXPECT_THAT(host.denial().why, Not(HasSubstr("ptrace_scope")));
  host.yama(3);
  EXPECT_THAT(host.denial().why, HasSubstr("whatever its privileges"));
}

TEST(Denial, YamaOneLetsAParentIn) {
  Host host;
  host.target({.ppid = 4000});
  host.fake.add(4000, {.ppid = 9000});
  host.self(host.uid);
  host.yama(1);
  EXPECT_THAT(host.denial().why, Not(HasSubstr("ptrace_scope is")));
}

TEST(Denial, BothUsersAreNamed) {
  Host host;
  host.self(host.uid + 1);
  host.passwd(fmt::format("app:x:{}:1::/:\nalice:x:{}:1::/:\n", host.uid, host.uid + 1));
  const auto error = host.denial();
  EXPECT_EQ(error.why, fmt::format("it runs as uid {} (app), memspy as uid {} (alice)", host.uid,
                                   host.uid + 1));
  EXPECT_THAT(error.hint, AllOf(HasSubstr("sudo memspy"), HasSubstr("sudo -u app memspy")));
}

TEST(Denial, RootOfAContainerLacksTheCapability) {
  Host host;
  host.self(0, "00000000a80425fb", "Seccomp:\t2\n");
  const auto error = host.denial();
  EXPECT_THAT(error.why, HasSubstr("lacks CAP_SYS_PTRACE (CapEff 00000000a80425fb)"));
  EXPECT_THAT(error.hint, AllOf(HasSubstr("docker run --cap-add SYS_PTRACE"),
                                HasSubstr("cap_add: [SYS_PTRACE]"), HasSubstr("kubectl")));
}

TEST(Denial, AContainerIsKnownByItsFiles) {
  Host host;
  host.self(host.uid + 1, "0", "CapBnd:\t00000000a80425fb\n");
  host.fake.write_host("/.dockerenv", "");
  EXPECT_THAT(host.denial().hint, HasSubstr("docker run --cap-add SYS_PTRACE"));
  host.self(host.uid + 1);  // the container has it, for its root
  EXPECT_THAT(host.denial().hint, HasSubstr("sudo memspy"));
}

TEST(Denial, NotDumpable) {
  Host host;
  const unsigned other = host.uid + 5;
  host.target(
      {.more_status = fmt::format("Uid:\t{0}\t{0}\t{0}\t{0}\nGid:\t{0}\t{0}\t{0}\t{0}\n", other)});
  host.self(other);
  EXPECT_THAT(host.denial().why, HasSubstr("not dumpable"));
}

TEST(Denial, MoreCapabilitiesThanMemspy) {
  Host host;
  host.target({.more_status = "CapPrm:\t0000000000000400\n"});
  host.self(host.uid);
  EXPECT_THAT(host.denial().why, HasSubstr("capabilities that memspy has not"));
}

TEST(Denial, SeccompIsTheLastGuess) {
  Host host;
  host.self(host.uid, kPtrace, "Seccomp:\t2\n");
  EXPECT_THAT(host.denial().why, HasSubstr("seccomp filter"));
  EXPECT_THAT(host.denial().hint, HasSubstr("seccomp=unconfined"));
}

TEST(Denial, AnotherUserNamespace) {
  Host host;
  host.self(host.uid, kPtrace);
  host.fake.link(kTarget.value, "ns/user", "user:[2]");
  host.fake.link(9000, "ns/user", "user:[1]");
  host.fake.write_setting("self/ns/placeholder", "");
  ASSERT_EQ(::symlink("user:[1]", (host.fake.root() + "/self/ns/user").c_str()), 0);
  EXPECT_THAT(host.denial().why, AllOf(HasSubstr("user:[2]"), HasSubstr("user:[1]")));
}

TEST(Denial, NothingKnownIsASecurityModule) {
  Host host;
  host.self(host.uid, kPtrace);
  host.fake.write(kTarget.value, "attr/current", "docker-default (enforce)\n");
  const auto error = host.denial();
  EXPECT_THAT(error.why, AllOf(HasSubstr("security module"), HasSubstr("docker-default")));
}

TEST(Denial, ComesOutOfCheckAccess) {
  Host host;
  host.self(host.uid);
  host.yama(2);
  const auto result = check_access(host.proc(), kTarget, refused());
  ASSERT_THAT(result, HasErrc(Errc::kPermission));
  EXPECT_FALSE(result.error().hint.empty());
}

TEST(Diagnose, AFakeHostIsToldInFull) {
  Host host;
  host.self(host.uid);
  host.fake.write_setting("sys/kernel/perf_event_paranoid", "4\n");
  host.fake.write_setting("sys/kernel/osrelease", "6.1.0-18-amd64\n");
  host.fake.write_host("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
  host.target({.state = 'T', .more_status = "SigCgt:\t0000000000400000\n"});
  std::map<std::string, Finding> found;
  for (auto& finding : diagnose(host.proc(), kTarget, allowed())) found[finding.check] = finding;
  EXPECT_EQ(found["process"].level, FindingLevel::kOk);
  EXPECT_EQ(found["state"].level, FindingLevel::kWarn);
  EXPECT_THAT(found["state"].remedy, HasSubstr("kill -CONT 4242"));
  EXPECT_EQ(found["memory"].level, FindingLevel::kOk);
  EXPECT_EQ(found["perf_event_paranoid"].level, FindingLevel::kWarn);
  EXPECT_EQ(found["huge pages"].level, FindingLevel::kWarn);
  EXPECT_EQ(found["signals"].evidence, "SIGWINCH is free");
  EXPECT_THAT(found["kernel"].evidence, HasSubstr("PAGEMAP_SCAN no"));
  for (const auto& [check, finding] : found) {
    EXPECT_FALSE(finding.evidence.empty()) << check;
    EXPECT_NE(finding.level, FindingLevel::kFail) << check << ": " << finding.evidence;
  }
}

TEST(Diagnose, WhatStandsInTheWayFails) {
  Host host;
  host.self(host.uid);
  host.yama(3);
  host.fake.add(55, {.comm = "gdb"});
  host.target({.more_status = "TracerPid:\t55\n"});
  std::map<std::string, Finding> found;
  for (auto& finding : diagnose(host.proc(), kTarget, refused())) found[finding.check] = finding;
  for (const char* check : {"tracer", "yama", "memory"}) {
    EXPECT_EQ(found[check].level, FindingLevel::kFail) << check;
    EXPECT_FALSE(found[check].remedy.empty()) << check;
  }
}

TEST(Diagnose, NoProcessIsOneFinding) {
  const Host host;
  const auto findings = diagnose(host.proc(), Pid{77}, allowed());
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].level, FindingLevel::kFail);
  EXPECT_THAT(findings[0].evidence, HasSubstr("no process 77"));
}

// A child of this test, paused, under the kernel of the day.
class Child {
 public:
  explicit Child(bool dumpable, uid_t uid = 0) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      if (uid != 0 && (::setgid(uid) != 0 || ::setuid(uid) != 0)) ::_exit(1);
      ::prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0);
      static_cast<void>(!::write(ready[1], "x", 1));
      for (;;) ::pause();
    }
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  Pid pid() const { return Pid{pid_}; }

 private:
  pid_t pid_ = -1;
};

TEST(AccessLive, AChildMayBeRead) {
  const Child child(true);
  EXPECT_THAT(check_access(procfs::ProcDir(), child.pid()), IsOk());
  for (const auto& finding : diagnose(procfs::ProcDir(), child.pid())) {
    EXPECT_NE(finding.level, FindingLevel::kFail) << finding.check << ": " << finding.evidence;
  }
}

TEST(AccessLive, WithoutPrivilegesOthersAreRefusedWithTheReason) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to play two users";
  const Child other(true, 12345);
  const Child hidden(false, 12346);
  const pid_t probe = ::fork();
  if (probe == 0) {
    if (::setgid(12346) != 0 || ::setuid(12346) != 0) ::_exit(10);
    const auto foreign = check_access(procfs::ProcDir(), other.pid());
    if (foreign.has_value() || foreign.error().code != Errc::kPermission) ::_exit(11);
    if (foreign.error().why.find("it runs as uid 12345, memspy as uid 12346") != 0) ::_exit(12);
    const auto undumpable = check_access(procfs::ProcDir(), hidden.pid());
    if (undumpable.has_value() || undumpable.error().code != Errc::kPermission) ::_exit(13);
    if (undumpable.error().why.find("not dumpable") == std::string::npos) ::_exit(14);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(probe, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace memspy::attach

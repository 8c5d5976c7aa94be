// Against real processes made with fork: handshakes through pipes, no sleeping.
#include "attach/seizure.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <vector>

#include "support/result_matchers.h"
#include "unit/attach/child.h"

namespace memspy::attach {
namespace {

using namespace std::chrono_literals;
using testing::IsOk;

[[noreturn]] void spin_for_ever() {
  for (volatile int turns = 0;;) (void)turns;
}

// Computes and waits in turn, for ever; counts the turns, and what was cut of the waiting.
[[noreturn]] void compute_and_wait(CountingChild& self, int turns) {
  const int poll = ::epoll_create1(0);
  self.ready();
  epoll_event event{};
  for (;;) {
    for (int turn = 0; turn < turns; ++turn) asm volatile("");
    // A millisecond of waiting is the shortest there is.
    if (::epoll_wait(poll, &event, 1, 1) != 0) self.counters().cut.fetch_add(1);
    self.counters().at[0].fetch_add(1);
  }
}

// A child that runs `body` when told to, and says when it is there.
class Child {
 public:
  explicit Child(const std::function<int()>& body) {
    EXPECT_EQ(::pipe(ready_), 0);
    EXPECT_EQ(::pipe(go_), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      // As a target would be, not as the test that blocks SIGCHLD for its tracer.
      sigset_t none;
      sigemptyset(&none);
      ::sigprocmask(SIG_SETMASK, &none, nullptr);
      char byte = 'r';
      (void)!::write(ready_[1], &byte, 1);
      (void)!::read(go_[0], &byte, 1);
      ::_exit(body());
    }
    char byte = 0;
    EXPECT_EQ(::read(ready_[0], &byte, 1), 1);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, __WALL);
    for (const int fd : {ready_[0], ready_[1], go_[0], go_[1]}) ::close(fd);
  }
  void go() const { EXPECT_EQ(::write(go_[1], "g", 1), 1); }
  Pid pid() const { return {pid_}; }

 private:
  int ready_[2]{}, go_[2]{};
  pid_t pid_ = -1;
};

struct Recorder : TraceeObserver {
  void on_thread_started(Pid, Tid tid, ThreadOrigin origin) override {
    started.emplace_back(tid, origin);
  }
  void on_thread_ended(Pid, Tid tid) override { ended.push_back(tid); }
  void on_forked(Pid, Pid child, bool shares) override { forked.emplace_back(child, shares); }
  void on_exec(Pid) override { ++execs; }
  void on_exiting(Pid) override { ++exiting; }
  void on_process_ended(Pid, WaitStatus status) override { process_end = status.raw(); }
  bool on_signal(Pid, Tid, const SignalStop& stop) override {
    signals.push_back(stop.signal);
    return swallow == stop.signal;
  }
  void on_resumed(Pid, Tid) override { ++resumed; }

  std::vector<std::pair<Tid, ThreadOrigin>> started;
  std::vector<Tid> ended;
  std::vector<std::pair<Pid, bool>> forked;
  std::vector<int> signals;
  int execs = 0, exiting = 0, resumed = 0, swallow = 0;
  std::optional<int> process_end;
};

class SeizureTest : public ::testing::Test {
 protected:
  SeizureTest() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  }
  // Dispatches until `done`, or fails after a deadline.
  void until(Seizure& seizure, const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      if (seizure.dispatch() == 0) ::usleep(100);
    }
  }
  procfs::ProcDir proc;
  Recorder seen;
};

TEST_F(SeizureTest, ReportsExitWithoutStoppingAnything) {
  Child child([] { return 7; });
  Seizure seizure(proc, seen, false);
  ASSERT_THAT(seizure.seize(child.pid()), IsOk());
  ASSERT_EQ(seen.started.size(), 1u);
  EXPECT_NE(proc.stat(child.pid())->state, 't');
  EXPECT_NE(proc.stat(child.pid())->state, 'T');
  child.go();
  until(seizure, [&] { return seen.process_end.has_value(); });
  EXPECT_EQ(WEXITSTATUS(*seen.process_end), 7);
  EXPECT_EQ(seen.exiting, 1);
  EXPECT_EQ(seizure.thread_count(), 0u);
}

TEST_F(SeizureTest, PassesSignalsOnAndSwallowsItsOwn) {
  Child child([] {
    ::signal(SIGUSR1, SIG_IGN);
    ::raise(SIGURG);
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    return 0;
  });
  seen.swallow = SIGURG;
  Seizure seizure(proc, seen, false);
  ASSERT_THAT(seizure.seize(child.pid()), IsOk());
  child.go();
  until(seizure, [&] { return seen.process_end.has_value(); });
  ASSERT_TRUE(WIFSIGNALED(*seen.process_end));
  EXPECT_EQ(WTERMSIG(*seen.process_end), SIGUSR2);
  EXPECT_EQ(seen.signals, (std::vector<int>{SIGURG, SIGUSR1, SIGUSR2}));
  EXPECT_EQ(seen.resumed, 1);
}

TEST_F(SeizureTest, LetsChildrenGoUnlessAskedFor) {
  for (const bool follow : {false, true}) {
    Recorder recorder;
    Child child([] {
      const pid_t inner = ::fork();
      if (inner == 0) ::_exit(0);
      int status = 0;
      return ::waitpid(inner, &status, 0) == inner ? 0 : 1;
    });
    Seizure seizure(proc, recorder, follow);
    ASSERT_THAT(seizure.seize(child.pid()), IsOk());
    child.go();
    until(seizure, [&] { return seizure.thread_count() == 0; });
    ASSERT_EQ(recorder.forked.size(), 1u);
    EXPECT_FALSE(recorder.forked[0].second);
    EXPECT_EQ(recorder.started.size(), follow ? 2u : 1u);
  }
}

TEST_F(SeizureTest, ReportsExecOfTheSameProcess) {
  Child child([] { return ::execl("/bin/true", "true", nullptr); });
  Seizure seizure(proc, seen, false);
  ASSERT_THAT(seizure.seize(child.pid()), IsOk());
  child.go();
  until(seizure, [&] { return seen.process_end.has_value(); });
  EXPECT_EQ(seen.execs, 1);
  EXPECT_EQ(WEXITSTATUS(*seen.process_end), 0);
  EXPECT_EQ(seen.started.back().second, ThreadOrigin::kExeced);
}

TEST_F(SeizureTest, StopsARunningThreadForOneLook) {
  Child child([] {
    spin_for_ever();
    return 0;
  });
  Seizure seizure(proc, seen, false);
  ASSERT_THAT(seizure.seize(child.pid()), IsOk());
  child.go();
  const Tid tid{child.pid().value};
  char state = '?';
  std::optional<std::uint64_t> fs_base;
  const auto held = seizure.with_stopped(tid, 2s, [&] {
    state = proc.stat(child.pid())->state;
    fs_base = seizure.fs_base(tid);
  });
  ASSERT_THAT(held, IsOk());
  EXPECT_TRUE(held->has_value());
  EXPECT_EQ(state, 't');
  EXPECT_TRUE(fs_base.has_value());
  until(seizure, [&] { return proc.stat(child.pid())->state == 'R'; });
}

// A thread that is about to enter epoll_wait when it is asked to stop must not be sent out of it. It
// is called computing every time, as if it had blocked just after the question.
TEST_F(SeizureTest, NoCallOfAThreadThatComputesIsCut) {
  CountingChild child([](CountingChild& self) { compute_and_wait(self, 60'000); });
  Seizure seizure(proc, seen, false);
  ASSERT_THAT(seizure.seize(child.pid()), IsOk());
  const auto always = [](Tid) { return Stoppable::kComputing; };
  std::uint32_t held = 0;
  for (int i = 0; i < 300; ++i) {
    const auto report = seizure.with_all_held(child.pid(), 20ms, always, [] {});
    ASSERT_THAT(report, IsOk());
    held += report->held;
    ::usleep(static_cast<useconds_t>(i * 7 % 1000));  // at ever other moments
  }
  EXPECT_EQ(child.counters().cut.load(), 0u);
  EXPECT_GT(child.counters().at[0].load(), 0u);
  EXPECT_GT(held, 30u);
}

// It is stopped while it computes, or has blocked: never neither, and never late.
TEST_F(SeizureTest, AThreadThatComesAndGoesIsStoppedOrStandsStill) {
  CountingChild child([](CountingChild& self) { compute_and_wait(self, 300'000); });
  Seizure seizure(proc, seen, false);
  ASSERT_THAT(seizure.seize(child.pid()), IsOk());
  const Tid tid{child.pid().value};
  int stopped = 0, blocked = 0;
  for (int i = 0; i < 300; ++i) {
    char state = 0;
    const auto held = seizure.with_stopped(tid, 5s, [&] { state = proc.stat(child.pid())->state; });
    ASSERT_THAT(held, IsOk());
    (held->has_value() ? stopped : blocked) += 1;
    EXPECT_EQ(held->has_value(), state == 't');
    ::usleep(static_cast<useconds_t>(i * 37 % 1000));
  }
  EXPECT_GT(stopped, 0);
  EXPECT_GT(blocked, 0);
  EXPECT_EQ(child.counters().cut.load(), 0u);
}

// Killed with a signal of the target in its hands, a tracer has to leave it to the target.
TEST_F(SeizureTest, ASignalInHandOutlivesTheTracer) {
  CountingChild child([](CountingChild& self) {
    static std::atomic<std::uint64_t>* handled = &self.counters().at[0];
    ::signal(SIGUSR1, [](int) { handled->fetch_add(1); });
    self.ready();
    for (;;) ::pause();
  });
  struct Killed final : Recorder {
    bool on_signal(Pid, Tid, const SignalStop&) override {
      ::kill(::getpid(), SIGKILL);
      return false;
    }
  };
  for (std::uint64_t round = 1; round <= 20; ++round) {
    CountingChild tracer([&](CountingChild& self) {
      Killed observer;
      Seizure seizure(proc, observer, false);
      const bool seized = seizure.seize(child.pid()).has_value();
      self.counters().at[0].store(seized ? 1 : 2);
      self.ready();
      for (;;) seizure.dispatch();
    });
    ASSERT_EQ(tracer.counters().at[0].load(), 1u);
    ::kill(child.pid().value, SIGUSR1);
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (child.counters().at[0].load() < round && std::chrono::steady_clock::now() < end)
      ::usleep(100);
    ASSERT_EQ(child.counters().at[0].load(), round);
  }
}

TEST_F(SeizureTest, AJobStoppedProcessStaysStopped) {
  Child child([] { return 0; });
  ::kill(child.pid().value, SIGSTOP);
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (proc.stat(child.pid())->state != 'T' && std::chrono::steady_clock::now() < deadline)
    ::usleep(100);
  Seizure seizure(proc, seen, false);
  ASSERT_THAT(seizure.seize(child.pid()), IsOk());
  for (int i = 0; i < 20; ++i) seizure.dispatch();
  const char state = proc.stat(child.pid())->state;
  EXPECT_TRUE(state == 'T' || state == 't') << state;
  ::kill(child.pid().value, SIGCONT);
  child.go();
  until(seizure, [&] { return seen.process_end.has_value(); });
  EXPECT_TRUE(WIFEXITED(*seen.process_end));
}

// What a guest owes: when the tracer thread ends, the target runs on and nobody traces it.
TEST_F(SeizureTest, TheEndOfTheTracerThreadLetsGo) {
  Child child([] {
    spin_for_ever();
    return 0;
  });
  child.go();
  std::thread tracer([&] {
    Seizure seizure(proc, seen, false);
    EXPECT_THAT(seizure.seize(child.pid()), IsOk());
    EXPECT_EQ(proc.status(child.pid())->tracer.value, ::gettid());
  });
  tracer.join();
  EXPECT_EQ(proc.status(child.pid())->tracer.value, 0);
  EXPECT_EQ(proc.stat(child.pid())->state, 'R');
}

}  // namespace
}  // namespace memspy::attach

// Engine bpf with a kernel that the test plays, on an interpreter that is real: what records and
// counts become events, and what does not hold together becomes a counter.
#include "sampler/engines/bpf.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "attach/process_vm.h"
#include "support/result_matchers.h"

extern char** environ;

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;
using testing::IsOk;

constexpr auto kDeadline = 20s;

// A Python that waits for the end of its input, and has said that it does.
class WaitingPython {
 public:
  WaitingPython() {
    int in[2], out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    std::string words[] = {"/usr/bin/python3", "-c", "print(flush=True); input()"};
    char* argv[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
    if (::posix_spawn(&pid_, argv[0], &actions, nullptr, argv, environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_.reset(in[1]);
    output_.reset(out[0]);
    char byte = 0;
    ready_ = pid_ > 0 && ::read(output_.get(), &byte, 1) == 1;
  }
  ~WaitingPython() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Pid pid() const { return Pid{pid_}; }
  Tid main_thread() const { return Tid{pid_}; }
  bool ready() const { return ready_; }

 private:
  pid_t pid_ = -1;
  UniqueFd input_, output_;
  bool ready_ = false;
};

// What the kernel's part keeps. The engine's thread and the test's.
struct Kernel {
  struct Waiting {
    memspy_bpf_record head{};
    std::vector<std::byte> frames;
  };
  std::mutex mutex;
  UniqueFd wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::vector<Waiting> waiting;
  std::map<Tid, std::uint64_t> counts;
  std::set<Tid> watched;
  std::map<std::uint32_t, memspy_bpf_walk> walks;
  std::vector<std::uint32_t> forgotten;

  void record(Waiting one) {
    const std::lock_guard lock(mutex);
    waiting.push_back(std::move(one));
    const std::uint64_t more = 1;
    if (::write(wake.get(), &more, sizeof(more)) != sizeof(more)) std::abort();
  }
};

class PlayedFaults final : public attach::BpfFaults {
 public:
  explicit PlayedFaults(Kernel& kernel) : kernel_(kernel) {}
  int fd() const override { return kernel_.wake.get(); }
  void consume(const Visitor& visit) override {
    std::vector<Kernel::Waiting> taken;
    {
      const std::lock_guard lock(kernel_.mutex);
      std::uint64_t count = 0;
      (void)!::read(kernel_.wake.get(), &count, sizeof(count));
      taken.swap(kernel_.waiting);
    }
    for (const auto& one : taken) visit({one.head, one.frames});
  }
  Result<Unit> watch_process(std::uint32_t process, Pid, const memspy_bpf_walk& walk) override {
    const std::lock_guard lock(kernel_.mutex);
    kernel_.walks[process] = walk;
    return Unit{};
  }
  void forget_process(std::uint32_t process, Pid) override {
    const std::lock_guard lock(kernel_.mutex);
    kernel_.forgotten.push_back(process);
  }
  Result<Unit> watch_thread(std::uint32_t, Tid tid, std::uint64_t) override {
    const std::lock_guard lock(kernel_.mutex);
    kernel_.watched.insert(tid);
    return Unit{};
  }
  void forget_thread(Tid tid) override {
    const std::lock_guard lock(kernel_.mutex);
    kernel_.watched.erase(tid);
  }
  void set_period(Tid, std::uint64_t) override {}
  std::uint64_t count(Tid tid) const override {
    const std::lock_guard lock(kernel_.mutex);
    const auto it = kernel_.counts.find(tid);
    return it == kernel_.counts.end() ? 0 : it->second;
  }
  Result<Unit> tell_writes(const attach::PerfWatch&) override { return Unit{}; }
  void expect_writes(std::uint32_t, RemoteAddr, std::int64_t) override {}
  void forget_writes(std::uint32_t, RemoteAddr) override {}
  void allow(std::int64_t) override {}
  Lost lost() const override { return {}; }

 private:
  Kernel& kernel_;
};

class BpfEngineTest : public ::testing::Test {
 protected:
  explicit BpfEngineTest(bool live = false) : live_(live) {}
  void SetUp() override {
    ASSERT_TRUE(python_.ready());
    engine_ = std::make_unique<BpfEngine>(context_, std::make_unique<PlayedFaults>(kernel_),
                                          BpfEngine::Extras{live_, /*guarded=*/false});
    ASSERT_THAT(engine_->attach(python_.pid(), AttachKind::kTarget), IsOk());
    const auto first = await<ProcessRecord>([](const ProcessRecord&) { return true; });
    ASSERT_TRUE(first);
    process_ = first->index.value;
    std::promise<void> began;
    runner_ = std::thread([this, &began] { engine_->run([&began] { began.set_value(); }); });
    began.get_future().wait();
  }
  void TearDown() override { end(); }
  void end() {
    context_.ending = true;
    context_.to_tracer.wake();
    if (runner_.joinable()) runner_.join();
  }

  // The first event of this kind that `which` takes, from now on; others are kept in `seen_`.
  template <typename Kind, typename Which>
  std::optional<Kind> await(Which&& which) {
    const auto end = std::chrono::steady_clock::now() + kDeadline;
    do {
      for (Event& event : context_.queue.drain()) seen_.push_back(std::move(event));
      for (; next_ < seen_.size(); ++next_) {
        const auto* found = std::get_if<Kind>(&seen_[next_]);
        if (found == nullptr || !which(*found)) continue;
        ++next_;
        return *found;
      }
      std::this_thread::sleep_for(1ms);
    } while (std::chrono::steady_clock::now() < end);
    return std::nullopt;
  }
  std::optional<FaultSample> await_sample() {
    return await<FaultSample>([](const FaultSample&) { return true; });
  }
  std::string innermost(StackId stack) const {
    std::optional<FrameId> frame;
    for (const Event& event : seen_) {
      const auto* defined = std::get_if<StackDefined>(&event);
      if (defined != nullptr && defined->id == stack) frame = defined->node.frame;
    }
    for (const Event& event : seen_) {
      const auto* defined = std::get_if<FrameDefined>(&event);
      if (defined != nullptr && frame && defined->id == *frame) return defined->frame.function;
    }
    return "";
  }

  Kernel::Waiting fault(std::uint32_t flags, std::uint64_t faults) const {
    Kernel::Waiting one;
    one.head.kind = MEMSPY_BPF_FAULT;
    one.head.flags = flags;
    one.head.process = process_;
    one.head.tid = static_cast<std::uint32_t>(python_.main_thread().value);
    one.head.faults = faults;
    one.head.address = 0x7f0000000000;
    one.head.state = 1;
    return one;
  }
  // As the program in the kernel does it, of the interpreter's main thread.
  Kernel::Waiting copied_stack() {
    const attach::ProcessVm memory(python_.pid());
    const auto word = [&](std::uint64_t at) {
      return read<std::uint64_t>(memory, RemoteAddr{at}).value_or(0);
    };
    memspy_bpf_walk walk{};
    {
      const std::lock_guard lock(kernel_.mutex);
      walk = kernel_.walks.at(process_);
    }
    Kernel::Waiting one = fault(0, 5);
    const std::uint64_t interpreter = word(walk.interpreters_head);
    one.head.state = word(interpreter + walk.interpreter_threads);
    one.head.thread_id = word(one.head.state + walk.thread_id);
    std::uint64_t frame = word(one.head.state + walk.thread_anchor);
    if (walk.through_cframe) frame = word(frame + walk.cframe_current);
    one.head.innermost = frame;
    one.head.frame_bytes = walk.frame_bytes;
    const std::size_t stride = MEMSPY_BPF_FRAME_STRIDE(std::size_t{walk.frame_bytes});
    while (frame != 0 && one.head.frames < 50) {
      const std::size_t at = one.frames.size();
      one.frames.resize(at + stride);
      std::memcpy(&one.frames[at], &frame, sizeof(frame));
      (void)memory.read_some(RemoteAddr{frame},
                             std::span(one.frames).subspan(at + 8, walk.frame_bytes));
      ++one.head.frames;
      frame = word(frame + walk.frame_previous);
    }
    return one;
  }

  bool live_;
  WaitingPython python_;
  procfs::ProcDir proc_;
  EngineContext context_{proc_, {}, std::chrono::steady_clock::now(), {}, {}, {}, {}, {}};
  Kernel kernel_;
  std::unique_ptr<BpfEngine> engine_;
  std::thread runner_;
  std::vector<Event> seen_;
  std::size_t next_ = 0;
  std::uint32_t process_ = 0;
};

TEST(LostException, IsOneThatNoWatchpointIsKnownFor) {
  EXPECT_TRUE(is_lost_exception({SIGTRAP, TRAP_BRKPT}));   // without a reason
  EXPECT_TRUE(is_lost_exception({SIGTRAP, TRAP_HWBKPT}));  // with that of one that is gone
  EXPECT_FALSE(is_lost_exception({SIGTRAP, SI_KERNEL}));   // an int3 of the program
  EXPECT_FALSE(is_lost_exception({SIGTRAP, SI_USER}));     // kill -TRAP
  EXPECT_FALSE(is_lost_exception({SIGSEGV, TRAP_BRKPT}));
}

TEST_F(BpfEngineTest, ARecordedStackIsASampleOfAllItsFaults) {
  kernel_.record(copied_stack());
  const auto sample = await_sample();
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->faults, 5U);
  EXPECT_EQ(innermost(sample->stack), "<module>");
  EXPECT_EQ(context_.counters.samples, 1U);
  EXPECT_EQ(context_.counters.rejected, 0U);
}

TEST_F(BpfEngineTest, StacksThatDoNotHoldTogetherAreCounted) {
  kernel_.record(fault(MEMSPY_BPF_UNREADABLE, 3));
  auto torn = copied_stack();
  std::fill(torn.frames.begin(), torn.frames.end(), std::byte{0x5a});
  kernel_.record(torn);
  kernel_.record(fault(MEMSPY_BPF_NO_STATE, 2));  // after them: they have been taken
  const auto sample = await_sample();
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->faults, 2U);
  EXPECT_EQ(innermost(sample->stack), "[native thread]");
  EXPECT_EQ(context_.counters.rejected, 2U);
  EXPECT_EQ(context_.counters.rejected_faults, 3U + 5U);
}

TEST_F(BpfEngineTest, RecordsOfNobodyAreNobodys) {
  auto stranger = fault(MEMSPY_BPF_NO_STATE, 7);
  stranger.head.tid = 1;
  kernel_.record(stranger);
  stranger = fault(MEMSPY_BPF_NO_STATE, 7);
  stranger.head.process = 77;
  kernel_.record(stranger);
  stranger.head.kind = 99;
  kernel_.record(stranger);
  kernel_.record(fault(MEMSPY_BPF_NO_STATE, 1));
  const auto sample = await_sample();
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->faults, 1U);
  EXPECT_EQ(context_.counters.samples, 1U);
}

// What was counted after the last record is its stack's, when sampling ends.
TEST_F(BpfEngineTest, TheRestOfAThreadGoesToItsLastStack) {
  kernel_.record(fault(MEMSPY_BPF_NO_STATE, 10));
  const auto sample = await_sample();
  ASSERT_TRUE(sample);
  {
    const std::lock_guard lock(kernel_.mutex);
    kernel_.counts[python_.main_thread()] = 14;
  }
  end();
  const auto rest = await_sample();
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->faults, 4U);
  EXPECT_EQ(rest->stack, sample->stack);
  const std::lock_guard lock(kernel_.mutex);
  EXPECT_TRUE(kernel_.watched.empty());
}

TEST_F(BpfEngineTest, AnExecIsTheEndOfOneProcessAndTheBeginOfAnother) {
  auto exec = fault(0, 0);
  exec.head.kind = MEMSPY_BPF_EXECED;
  kernel_.record(exec);
  const auto edge = await<WindowEdge>(
      [](const WindowEdge& one) { return one.kind == WindowEdge::Kind::kExeced; });
  ASSERT_TRUE(edge);
  EXPECT_EQ(edge->process.value, process_);
  const auto begin = await<WindowEdge>(
      [](const WindowEdge& one) { return one.kind == WindowEdge::Kind::kBegins; });
  ASSERT_TRUE(begin);
  EXPECT_TRUE(begin->fresh);
  EXPECT_NE(begin->process.value, process_);
  const std::uint32_t before = std::exchange(process_, begin->process.value);
  kernel_.record(fault(MEMSPY_BPF_NO_STATE, 1));
  ASSERT_TRUE(await_sample()) << "its threads are watched again";
  const std::lock_guard lock(kernel_.mutex);
  EXPECT_EQ(kernel_.forgotten, std::vector{before});
  EXPECT_TRUE(kernel_.watched.contains(python_.main_thread()));
}

TEST_F(BpfEngineTest, AnEndIsToldWithItsReason) {
  auto exit = fault(0, 0);
  exit.head.kind = MEMSPY_BPF_EXITED;
  exit.head.child = SIGKILL;
  kernel_.record(exit);
  kernel_.record(fault(MEMSPY_BPF_NO_STATE, 1));
  ASSERT_TRUE(await_sample());
  ::kill(python_.pid().value, SIGKILL);
  const auto edge = await<WindowEdge>(
      [](const WindowEdge& one) { return one.kind == WindowEdge::Kind::kExited; });
  ASSERT_TRUE(edge);
  EXPECT_EQ(edge->how, "killed by SIGKILL");
}

class BpfLiveTest : public BpfEngineTest {
 protected:
  BpfLiveTest() : BpfEngineTest(true) {}
};

// Real watches of a real interpreter, whose heap does not grow; writes that nobody has watched for,
// of threads and processes that nobody knows.
TEST_F(BpfLiveTest, WritesToWhatIsNotWatchedAreNobodys) {
  auto write = copied_stack();
  write.head.kind = MEMSPY_BPF_WRITE;
  kernel_.record(write);
  write.head.process = 77;
  kernel_.record(write);
  write.head.tid = 1;
  kernel_.record(write);
  kernel_.record(fault(MEMSPY_BPF_NO_STATE, 1));
  ASSERT_TRUE(await_sample());
  end();
  const auto profiled = await<LiveProfiled>([](const LiveProfiled&) { return true; });
  ASSERT_TRUE(profiled);
  EXPECT_TRUE(profiled->profile->shares.empty());
  EXPECT_EQ(profiled->profile->counts.stops, 0U);
  EXPECT_EQ(context_.counters.samples, 1U) << "they are not even decoded";
  EXPECT_EQ(context_.counters.rejected, 0U);
}

}  // namespace
}  // namespace memspy::sampler

// Images of real processes.
#include "attach/process_image.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "attach/copy_store.h"
#include "support/result_matchers.h"
#include "support/temp_dir.h"
#include "unit/attach/address_of.h"
#include "unit/attach/blocked_threads.h"
#include "unit/attach/child.h"

namespace memspy::attach {
namespace {

using namespace std::chrono_literals;
using testing::HasErrc;
using testing::IsOk;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kCopiedBytes = 32U << 20;

std::byte* map_bytes(std::size_t bytes, int fd = -1, int flags = MAP_PRIVATE | MAP_ANONYMOUS) {
  return static_cast<std::byte*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0));
}

class ProcessImageTest : public ::testing::Test {
 protected:
  // Until `done`, or fails after a deadline.
  static void until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      ::usleep(200);
    }
  }
  void expect_untouched(Pid pid) {
    for (const Tid tid : proc.threads(pid).value_or({})) {
      const auto status = proc.status(pid, tid);
      if (!status.has_value()) continue;
      EXPECT_EQ(status->tracer.value, 0);
      EXPECT_NE(status->state, 't');
    }
  }
  procfs::ProcDir proc;
  ImageOptions options;
};

TEST_F(ProcessImageTest, HasWhatTheProcessHasAndAddsNothing) {
  // Made before the fork, written in the child: both know where it lies.
  std::byte* const memory = map_bytes(kCopiedBytes);
  CountingChild child([&](CountingChild& self) {
    for (std::size_t page = 0; page < kCopiedBytes / kPage; page += 1 + page % 3)
      std::memset(memory + page * kPage, static_cast<int>(page % 251 + 1), kPage);
    self.ready();
    self.wait();
  });
  until([&] { return proc.stat(child.pid())->state == 'S'; });
  const auto rss = proc.status(child.pid())->vm_rss_bytes;
  const auto rollup = proc.smaps_rollup(child.pid());
  const auto image = take_image(proc, child.pid(), options);
  ASSERT_THAT(image, IsOk());
  const ProcessImage& got = **image;
  std::size_t written = 0;
  for (std::size_t page = 0; page < kCopiedBytes / kPage; page += 1 + page % 3, ++written) {
    // The pages in between, up to three, are holes.
    std::array<std::byte, 2 * kPage> bytes;
    const std::size_t size = page + 1 < kCopiedBytes / kPage ? bytes.size() : kPage;
    ASSERT_EQ(got.read_some(address_of(memory + page * kPage), std::span(bytes).first(size)), size);
    const auto fill = static_cast<std::byte>(page % 251 + 1);
    ASSERT_EQ(std::count(bytes.begin(), bytes.begin() + kPage, fill), std::ptrdiff_t{kPage});
    const auto view = got.view(address_of(memory + page * kPage + 100));
    ASSERT_GE(view.size(), kPage - 100);
    EXPECT_EQ(view[0], fill);
  }
  EXPECT_EQ(got.view(address_of(memory + 2 * kPage)).front(), std::byte{0});  // a hole
  EXPECT_TRUE(got.view(RemoteAddr{16}).empty());
  // To the byte: nothing became resident.
  EXPECT_EQ(proc.status(child.pid())->vm_rss_bytes, rss);
  const auto after = proc.smaps_rollup(child.pid());
  ASSERT_THAT(rollup, IsOk());
  ASSERT_THAT(after, IsOk());
  EXPECT_EQ(after->rss_bytes, rollup->rss_bytes);
  const ImageFacts& facts = got.facts();
  EXPECT_GE(facts.copied_bytes, written * kPage);
  EXPECT_EQ(facts.threads, 1u);
  EXPECT_EQ(facts.held, 1u);
  EXPECT_EQ(facts.moved, 0u);
  EXPECT_GT(facts.pause.count(), 0);
  EXPECT_GE(facts.wall_time, facts.pause);
  EXPECT_EQ(facts.process.pid, child.pid());
  std::uint64_t sum = 0;
  for (const MappedPages& pages : got.pages()) {
    sum += pages.rss_bytes;
    if (pages.mapping.contains(address_of(memory))) {
      EXPECT_GE(pages.rss_bytes, written * kPage);
    }
    EXPECT_LE(pages.huge_bytes, pages.rss_bytes);
  }
  EXPECT_LT(std::max(sum, facts.rss_bytes) - std::min(sum, facts.rss_bytes), sum / 20);
  EXPECT_EQ(got.pages().size(), got.map().size());
  ::munmap(memory, kCopiedBytes);
}

// Pages of files: as they are in the file, until the process has written to them.
TEST_F(ProcessImageTest, ReadsFilesWithoutMakingThemResident) {
  const testing::TempDir folder;
  const std::string kept = folder.file("kept"), gone = folder.file("gone");
  for (const auto& name : {kept, gone}) {
    std::ofstream file(name, std::ios::binary);
    for (std::size_t page = 0; page < 64; ++page)
      file << std::string(kPage, static_cast<char>('A' + page % 26));
    file << "tail";
  }
  const auto map = [](const std::string& name) {
    const int fd = ::open(name.c_str(), O_RDONLY);
    std::byte* at = map_bytes(66 * kPage, fd, MAP_PRIVATE);
    ::close(fd);
    return at;
  };
  std::byte* const whole = map(kept);
  std::byte* const deleted = map(gone);
  CountingChild child([&](CountingChild& self) {
    std::memset(whole + 7 * kPage, 'x', 10);
    ::mprotect(whole, 66 * kPage, PROT_READ);  // as relocated data is
    static_cast<volatile std::byte*>(deleted)[kPage];
    ::unlink(gone.c_str());
    self.ready();
    self.wait();
  });
  const auto rss = proc.status(child.pid())->vm_rss_bytes;
  const auto image = take_image(proc, child.pid(), options);
  ASSERT_THAT(image, IsOk());
  const auto text = [&](const std::byte* at, std::size_t size) {
    std::string out(size, '?');
    out.resize((*image)->read_some(address_of(at), std::as_writable_bytes(std::span(out))));
    return out;
  };
  EXPECT_EQ(text(whole + 5 * kPage - 2, 4), "EEFF");
  EXPECT_EQ(text(whole + 7 * kPage - 1, 12), "GxxxxxxxxxxH");
  EXPECT_EQ(text(whole + 64 * kPage, 6), std::string("tail\0\0", 6));
  EXPECT_EQ(text(whole + 65 * kPage, 1), "");  // behind the file: SIGBUS for the process too
  EXPECT_EQ(text(deleted + kPage, 2), "BB");
  EXPECT_FALSE((*image)->view(address_of(&kCopiedBytes)).empty());  // a constant of this program
  EXPECT_EQ(proc.status(child.pid())->vm_rss_bytes, rss);
  ::munmap(whole, 66 * kPage);
  ::munmap(deleted, 66 * kPage);
}

TEST_F(ProcessImageTest, InterruptsNoCallThatWouldNotice) {
  CountingChild child([](CountingChild& self) {
    start_blocked_threads(self, 2);
    for (;;) ::pause();
  });
  ASSERT_TRUE(await_blocked_threads(child.pid()));
  std::uint32_t held = 3, alone = 0;  // two spin, the main thread waits
  for (const BlockedThread& blocked : blocked_threads()) (blocked.held ? held : alone) += 1;
  for (int i = 0; i < 20; ++i) {
    const auto image = take_image(proc, child.pid(), options);
    ASSERT_THAT(image, IsOk());
    EXPECT_EQ((*image)->facts().held, held);
    EXPECT_EQ((*image)->facts().left_alone, alone);
    EXPECT_EQ((*image)->facts().moved, 0u);
    EXPECT_EQ((*image)->facts().attempts, 1u);
    ASSERT_EQ(child.counters().cut, 0u);
  }
  expect_untouched(child.pid());
  const std::uint64_t before = child.counters().at[0];
  until([&] { return child.counters().at[0] > before; });
  EXPECT_EQ(child.counters().cut, 0u);
}

// A thread that an interrupt would disturb wakes up all the time and writes to two ends of the
// memory, first end first. An image that says that nothing moved shows one moment.
TEST_F(ProcessImageTest, SeesThatAThreadRanMeanwhile) {
  std::byte* const memory = map_bytes(kCopiedBytes);
  CountingChild child([&](CountingChild& self) {
    std::memset(memory, 1, kCopiedBytes);
    auto* first = new (memory) std::atomic<std::uint64_t>(0);
    auto* last = new (memory + kCopiedBytes - kPage) std::atomic<std::uint64_t>(0);
    const int epoll = ::epoll_create1(0);
    self.ready();
    for (;;) {
      epoll_event event{};
      ::epoll_wait(epoll, &event, 1, 1);
      ++*first;
      ++*last;
    }
  });
  int still = 0;
  for (int i = 0; i < 20; ++i) {
    const auto image = take_image(proc, child.pid(), options);
    ASSERT_THAT(image, IsOk());
    if ((*image)->facts().moved > 0) continue;
    ++still;
    const auto first = read<std::uint64_t>(**image, address_of(memory));
    const auto last = read<std::uint64_t>(**image, address_of(memory + kCopiedBytes - kPage));
    ASSERT_THAT(first, IsOk());
    ASSERT_THAT(last, IsOk());
    EXPECT_LE(*first - *last, 1u) << *first << " and " << *last;
  }
  EXPECT_GT(still, 0);  // it is caught while it runs, and held from then on
  expect_untouched(child.pid());
  ::munmap(memory, kCopiedBytes);
}

TEST_F(ProcessImageTest, AStoppedProcessStaysStopped) {
  CountingChild child([](CountingChild& self) {
    std::thread([&self] {
      for (;;) ++self.counters().at[0];
    }).detach();
    self.ready();
    for (;;) ::pause();
  });
  ::kill(child.pid().value, SIGSTOP);
  until([&] { return proc.stat(child.pid())->state == 'T'; });
  for (int i = 0; i < 5; ++i) {
    const auto image = take_image(proc, child.pid(), options);
    ASSERT_THAT(image, IsOk());
    EXPECT_EQ((*image)->facts().held, 2u);
    until([&] { return proc.stat(child.pid())->state == 'T'; });
    expect_untouched(child.pid());
  }
  const std::uint64_t stopped_at = child.counters().at[0];
  const auto image = take_image(proc, child.pid(), options);
  EXPECT_EQ(child.counters().at[0], stopped_at);
  ::kill(child.pid().value, SIGCONT);
  until([&] { return child.counters().at[0] > stopped_at; });
}

TEST_F(ProcessImageTest, HoldsThreadsThatAreBornMeanwhile) {
  CountingChild child([](CountingChild& self) {
    self.ready();
    for (;;) std::thread([&self] { ++self.counters().at[0]; }).join();
  });
  for (int i = 0; i < 50; ++i) {
    const auto image = take_image(proc, child.pid(), options);
    ASSERT_THAT(image, IsOk());
    EXPECT_EQ((*image)->facts().moved, 0u);
    const std::uint64_t before = child.counters().at[0];
    until([&] { return child.counters().at[0] > before; });
  }
}

TEST_F(ProcessImageTest, GivesUpWhenThePauseWouldBeTooLong) {
  std::byte* const memory = map_bytes(kCopiedBytes);
  CountingChild child([&](CountingChild& self) {
    std::memset(memory, 1, kCopiedBytes);
    self.ready();
    for (;;) ++self.counters().at[0];
  });
  options.max_pause = 10us;
  const auto image = take_image(proc, child.pid(), options);
  ASSERT_THAT(image, HasErrc(Errc::kTimeout));
  EXPECT_NE(image.error().message.find("10 µs"), std::string::npos) << image.error().message;
  expect_untouched(child.pid());
  const std::uint64_t before = child.counters().at[0];
  until([&] { return child.counters().at[0] > before; });
  options.max_pause = 60s;
  EXPECT_THAT(take_image(proc, child.pid(), options), IsOk());
  ::munmap(memory, kCopiedBytes);
}

TEST_F(ProcessImageTest, CanLieOnADisk) {
  const testing::TempDir folder;
  std::byte* const memory = map_bytes(kCopiedBytes);
  CountingChild child([&](CountingChild& self) {
    std::memset(memory, 7, kCopiedBytes);
    self.ready();
    self.wait();
  });
  options.spool = folder.path();
  const auto image = take_image(proc, child.pid(), options);
  ASSERT_THAT(image, IsOk());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_GE((*image)->view(address_of(memory)).size(), kCopiedBytes);
  EXPECT_EQ((*image)->view(address_of(memory + kCopiedBytes - 1)).front(), std::byte{7});
  options.spool = folder.file("missing");
  EXPECT_THAT(take_image(proc, child.pid(), options), HasErrc(Errc::kOutput));
  ::munmap(memory, kCopiedBytes);
}

// The kernel's own /proc, but for what it says of the host's memory.
TEST_F(ProcessImageTest, RefusesWhatTheHostCannotHold) {
  const testing::TempDir folder;
  std::byte* const memory = map_bytes(kCopiedBytes);
  CountingChild child([&](CountingChild& self) {
    std::memset(memory, 7, kCopiedBytes);
    self.ready();
    self.wait();
  });
  const std::string name = std::to_string(child.pid().value);
  std::filesystem::create_symlink("/proc/" + name, folder.file(name));
  std::ofstream(folder.file("meminfo")) << "MemFree: 1 kB\nMemAvailable:   81920 kB\n";
  const procfs::ProcDir poor(folder.path());
  const auto image = take_image(poor, child.pid(), options);
  ASSERT_THAT(image, HasErrc(Errc::kOutput));
  EXPECT_NE(image.error().message.find("this host or container has 16.0 MiB left"),
            std::string::npos)
      << image.error().message;
  EXPECT_NE(image.error().hint.find("--spool"), std::string::npos);
  const auto estimate = estimate_image(poor, child.pid(), options);
  ASSERT_THAT(estimate, IsOk());
  EXPECT_GE(estimate->copy_bytes, kCopiedBytes);
  EXPECT_EQ(estimate->available_bytes, 16U << 20);
  options.spool = folder.path();
  EXPECT_THAT(take_image(poor, child.pid(), options), IsOk());
  ::munmap(memory, kCopiedBytes);
}

TEST_F(ProcessImageTest, EstimatesWithoutStopping) {
  CountingChild child([](CountingChild& self) {
    self.ready();
    self.wait();
  });
  until([&] { return proc.stat(child.pid())->state == 'S'; });
  const auto estimate = estimate_image(proc, child.pid(), options);
  ASSERT_THAT(estimate, IsOk());
  EXPECT_GT(estimate->copy_bytes, 0u);
  EXPECT_GT(estimate->pause.count(), 0);
  EXPECT_GT(estimate->available_bytes, estimate->copy_bytes);
}

TEST_F(ProcessImageTest, SaysWhoTracesAndWhoIsGone) {
  CountingChild target([](CountingChild& self) {
    self.ready();
    for (;;) ::pause();
  });
  {
    CountingChild tracer([&](CountingChild& self) {
      ::ptrace(PTRACE_SEIZE, target.pid().value, 0, 0);
      self.ready();
      for (;;) ::pause();
    });
    EXPECT_THAT(take_image(proc, target.pid(), options), HasErrc(Errc::kAlreadyTraced));
  }
  pid_t gone = 0;
  {
    CountingChild short_lived([](CountingChild& self) { self.ready(); });
    gone = short_lived.pid().value;
  }
  EXPECT_THAT(take_image(proc, Pid{gone}, options), HasErrc(Errc::kNoSuchProcess));
}

}  // namespace
}  // namespace memspy::attach

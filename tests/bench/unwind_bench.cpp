// Native stacks of one thread, three ways, side by side:
//   unwind_bench PID [ROUNDS]     the main thread, which must compute
// Prints microseconds: how long the thread was held, and how long unwinding took. memspy copies in
// the stop and unwinds afterwards; the other two need the stop for all of it.
#include <elfutils/libdwfl.h>
#include <libunwind-ptrace.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "attach/access.h"
#include "attach/bystander.h"
#include "attach/process_vm.h"
#include "sampler/native_stacks.h"

using namespace memspy;

namespace {

using Clock = std::chrono::steady_clock;

double micros(Clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

struct Figures {
  std::vector<double> held, unwinding;
  std::size_t frames = 0;
};

void print(const char* name, Figures figures) {
  const auto quantile = [](std::vector<double>& all, double q) {
    std::sort(all.begin(), all.end());
    return all.empty() ? 0.0 : all[static_cast<std::size_t>(q * double(all.size() - 1))];
  };
  if (figures.held.empty()) return;
  std::printf(
      "%-18s frames %3zu   first %7.1f   held p50 %6.1f p99 %6.1f   unwinding p50 %6.1f p99 "
      "%6.1f\n",
      name, figures.frames, figures.held.front(), quantile(figures.held, 0.5),
      quantile(figures.held, 0.99), quantile(figures.unwinding, 0.5),
      quantile(figures.unwinding, 0.99));
}

Figures by_copy(Pid pid, int rounds) {
  Figures figures;
  attach::on_tracer_thread([&] {
    const procfs::ProcDir proc;
    attach::Bystander bystander;
    attach::Seizure seizure(proc, bystander, false);
    const attach::ProcessVm memory(pid);
    unwind::ModuleStore store;
    sampler::NativeStacks stacks(proc, pid, memory, store);
    if (!seizure.seize(pid).has_value()) return;
    const cpython::RawStack none;
    for (int i = 0; i < rounds; ++i) {
      Clock::duration inside{};
      const auto held = seizure.with_stopped(Tid{pid.value}, std::chrono::seconds(1), [&] {
        const auto begin = Clock::now();
        (void)stacks.take(seizure, Tid{pid.value});
        inside = Clock::now() - begin;
      });
      if (!held.has_value() || !*held) continue;
      const auto begin = Clock::now();
      (void)stacks.merge(none);
      figures.unwinding.push_back(micros(Clock::now() - begin));
      figures.held.push_back(micros(inside));
      figures.frames = stacks.stack().frames.size();
    }
  });
  return figures;
}

// Stops with ptrace alone, the same for both of the others; `unwind` runs inside.
Figures in_the_stop(pid_t pid, int rounds, const std::function<std::size_t()>& unwind) {
  Figures figures;
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) return figures;
  for (int i = 0; i < rounds; ++i) {
    int status = 0;
    ::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr);
    if (::waitpid(pid, &status, __WALL) != pid) break;
    const auto begin = Clock::now();
    figures.frames = unwind();
    const double taken = micros(Clock::now() - begin);
    ::ptrace(PTRACE_CONT, pid, nullptr, nullptr);
    figures.held.push_back(taken);
    figures.unwinding.push_back(taken);
    ::usleep(1000);
  }
  ::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr);
  int status = 0;
  ::waitpid(pid, &status, __WALL);
  ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  return figures;
}

Figures by_libunwind(pid_t pid, int rounds) {
  unw_addr_space_t space = ::unw_create_addr_space(&_UPT_accessors, 0);
  ::unw_set_caching_policy(space, UNW_CACHE_GLOBAL);
  void* context = ::_UPT_create(pid);
  auto figures = in_the_stop(pid, rounds, [&] {
    unw_cursor_t cursor;
    std::size_t frames = 0;
    if (::unw_init_remote(&cursor, space, context) != 0) return frames;
    do {
      ++frames;
    } while (frames < 500 && ::unw_step(&cursor) > 0);
    return frames;
  });
  ::_UPT_destroy(context);
  ::unw_destroy_addr_space(space);
  return figures;
}

int count_frame(Dwfl_Frame*, void* count) {
  ++*static_cast<std::size_t*>(count);
  return DWARF_CB_OK;
}

Figures by_libdwfl(pid_t pid, int rounds) {
  char* path = nullptr;
  Dwfl_Callbacks callbacks{};
  callbacks.find_elf = ::dwfl_linux_proc_find_elf;
  callbacks.find_debuginfo = ::dwfl_standard_find_debuginfo;
  callbacks.debuginfo_path = &path;
  Dwfl* dwfl = ::dwfl_begin(&callbacks);
  ::dwfl_linux_proc_report(dwfl, pid);
  ::dwfl_report_end(dwfl, nullptr, nullptr);
  ::dwfl_linux_proc_attach(dwfl, pid, true);
  auto figures = in_the_stop(pid, rounds, [&] {
    std::size_t frames = 0;
    ::dwfl_getthread_frames(dwfl, pid, count_frame, &frames);
    return frames;
  });
  ::dwfl_end(dwfl);
  return figures;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const pid_t pid = std::atoi(argv[1]);
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 1000;
  print("memspy", by_copy(Pid{pid}, rounds));
  print("libdwfl", by_libdwfl(pid, rounds));
  print("libunwind-ptrace", by_libunwind(pid, rounds));
  return 0;
}

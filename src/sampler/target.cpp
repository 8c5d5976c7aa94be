#include "sampler/target.h"

#include <algorithm>
#include <thread>

#include "symbolize/module_index.h"

namespace memspy::sampler {
namespace {

using namespace std::chrono_literals;

// An interpreter appears within milliseconds of an exec, and never in a program that is not Python:
// looking costs milliseconds, and the thread that faults may be standing still for it.
constexpr auto kFirstSearchPause = 2ms, kLongestSearchPause = 500ms;
constexpr auto kYoungSearchPause = 16ms;
constexpr auto kYouth = 1s;        // what starts now is Python soon or never
constexpr auto kStartUpTime = 2s;  // an interpreter that is starting is ready by then
constexpr auto kStartUpPause = 10ms;
constexpr auto kNamesPause = 1s;
constexpr int kTornReads = 3;  // attempts at a stack that changes while it is read
// glibc on x86-64: struct pthread holds the kernel's thread id here (2.36 to 2.43).
constexpr std::uint64_t kGlibcTidOffset = 0x2d0;

}  // namespace

Target::Target(const procfs::ProcDir& proc, ProcessIndex index, Pid pid,
               std::optional<int> assume_minor, symbolize::ElfMemo* files)
    : proc_(proc),
      index_(index),
      assume_minor_(assume_minor),
      files_(files),
      memory_(std::make_unique<attach::ProcessVm>(pid)),
      search_pause_(kFirstSearchPause) {}

Result<Unit> Target::find_interpreter() {
  MEMSPY_TRY(map, proc_.maps(pid()));
  const symbolize::ModuleIndex modules(proc_, pid(), map, *memory_, files_);
  attempts_.clear();
  auto found = cpython::Interpreter::open(*memory_, map, modules, {assume_minor_}, &attempts_);
  if (!found.has_value()) {
    Error error = std::move(found).error();
    if (error.code == Errc::kUnsupported)
      error.message = "PID " + std::to_string(pid().value) + " (" +
                      proc_.comm(pid(), Tid{pid().value}).value_or("?") + "): " + error.message;
    return error;
  }
  interpreter_ = std::move(found).value();
  reader_.emplace(*interpreter_, *memory_);
  return Unit{};
}

Result<Unit> Target::await_interpreter() {
  const auto deadline = std::chrono::steady_clock::now() + kStartUpTime;
  while (true) {
    auto found = find_interpreter();
    if (found.has_value()) return found;
    const bool starting =
        found.error().code == Errc::kUnreadable && std::chrono::steady_clock::now() < deadline;
    if (!starting) return found;
    std::this_thread::sleep_for(kStartUpPause);
  }
}

void Target::find_interpreter_soon() {
  const auto now = std::chrono::steady_clock::now();
  if (reader_ || now < next_search_) return;
  if (first_search_ == std::chrono::steady_clock::time_point{}) first_search_ = now;
  (void)find_interpreter();
  next_search_ = std::chrono::steady_clock::now() + search_pause_;
  const bool young = now < first_search_ + kYouth;
  search_pause_ = std::min<std::chrono::nanoseconds>(
      search_pause_ * 2, young ? kYoungSearchPause : kLongestSearchPause);
}

void Target::inherit(const Target& parent) {
  if (!parent.interpreter_) return;
  interpreter_ = parent.interpreter_;
  reader_.emplace(*interpreter_, *memory_);
}

std::optional<std::uint64_t> Target::find_thread_id(Tid tid) {
  if (!interpreter_) return std::nullopt;
  const auto status = proc_.status(pid(), tid);
  if (!status.has_value()) return std::nullopt;
  const pid_t inner = status->ns_pids.empty() ? tid.value : status->ns_pids.back();
  const auto states = interpreter_->threads(*memory_);
  if (!states.has_value()) return std::nullopt;
  for (const auto& state : *states) {
    std::int32_t native = state.native_thread_id;
    if (native == 0)
      native = read<std::int32_t>(*memory_, {state.thread_id + kGlibcTidOffset}).value_or(0);
    if (native == inner) return state.thread_id;
  }
  return std::nullopt;
}

bool Target::read_running(std::uint64_t thread_id, cpython::RawStack& out) {
  if (!reader_) return false;
  const RemoteAddr state = reader_->find_thread_state(thread_id);
  if (!state) return false;
  cpython::RawStack again;
  const auto same = [](const cpython::RawFrame& a, const cpython::RawFrame& b) {
    return a.frame == b.frame && a.code == b.code && a.instruction == b.instruction;
  };
  for (int attempt = 0; attempt < kTornReads; ++attempt) {
    if (!reader_->capture(state, out).has_value() || !reader_->capture(state, again).has_value())
      continue;
    if (std::equal(out.frames.begin(), out.frames.end(), again.frames.begin(), again.frames.end(),
                   same))
      return true;
  }
  return false;
}

std::string Target::thread_name(std::uint64_t thread_id) {
  const auto find = [&] {
    return std::find_if(names_.begin(), names_.end(),
                        [&](const auto& entry) { return entry.first == thread_id; });
  };
  auto it = find();
  const auto now = std::chrono::steady_clock::now();
  if (it == names_.end() && interpreter_ && now >= names_read_ + kNamesPause) {
    names_ = interpreter_->thread_names(*memory_);
    names_read_ = now;
    it = find();
  }
  return it == names_.end() ? std::string() : it->second;
}

}  // namespace memspy::sampler

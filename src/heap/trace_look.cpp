#include "heap/trace_look.h"

#include <memory>

#include <spdlog/fmt/fmt.h>

#include "attach/access.h"
#include "attach/process_vm.h"
#include "base/clock.h"
#include "cpython/traces/read_traces.h"
#include "heap/trace_types.h"
#include "procfs/proc_dir.h"
#include "symbolize/module_index.h"

namespace memspy::heap {
namespace {

using attach::ProcessImage;
using cpython::Interpreter;

// A thread may be stopped while it adds to the table or makes it larger: some microseconds in which
// a walk finds less than the table counts.
constexpr int kLooks = 3;

// Nothing missing, and the sum is what the process itself says. Where it says so is found by that
// very number in stripped builds: not found, it may be torn as well.
bool is_whole(const TraceTable& table) {
  return !table.damage.any() && table.current_bytes == table.traced_bytes;
}

class TraceLooker {
 public:
  TraceLooker(Pid pid, const TraceLookOptions& options) : pid_(pid), options_(options) {}
  Result<TraceLook> look();

 private:
  void phase(const char* name) const {
    if (options_.progress) options_.progress(name, 0);
  }
  Result<Unit> find_interpreter();
  Result<Unit> look_once();
  void fill_header();
  Error off(const std::string& evidence) const;

  Pid pid_;
  const TraceLookOptions& options_;
  procfs::ProcDir proc_;
  std::unique_ptr<attach::ProcessVm> live_;  // what the module index reads ELF images from
  std::unique_ptr<SymbolSource> modules_;
  std::optional<Interpreter> interpreter_;
  std::unique_ptr<ProcessImage> image_;
  TraceLook look_;
};

Result<Unit> TraceLooker::find_interpreter() {
  phase("finding the interpreter");
  MEMSPY_CHECK(attach::check_access(proc_, pid_));
  MEMSPY_TRY(map, proc_.maps(pid_));
  live_ = std::make_unique<attach::ProcessVm>(pid_);
  modules_ = std::make_unique<symbolize::ModuleIndex>(proc_, pid_, map, *live_);
  auto found = Interpreter::open(*live_, map, *modules_, {options_.assume_minor}, &look_.attempts);
  if (!found.has_value()) return std::move(found).error();
  interpreter_ = std::move(*found);
  look_.layout_source = interpreter_->layout().source;
  return Unit{};
}

Error TraceLooker::off(const std::string& evidence) const {
  const std::string name = proc_.comm(pid_, Tid{pid_.value}).value_or("");
  Error error =
      make_error(Errc::kInternal, fmt::format("PID {}{} does not trace its allocations", pid_.value,
                                              name.empty() ? "" : " (" + name + ")"));
  error.why = "tracemalloc is off in this process: " + evidence;
  error.hint = fmt::format(
      "start it with PYTHONTRACEMALLOC=1 or python3 -X tracemalloc, or have it call "
      "tracemalloc.start()\nmemspy record -p {} says which lines make it grow, and needs nothing "
      "in the process",
      pid_.value);
  return error;
}

void TraceLooker::fill_header() {
  const attach::ImageFacts& facts = image_->facts();
  auto& header = look_.header;
  header.process = facts.process;
  header.pause = facts.pause;
  header.rss_bytes = facts.rss_bytes;
  header.moved_threads = facts.moved;
  header.python_version = interpreter_->version().text();
  header.source = fmt::format("process {}", pid_.value);
  header.process_name = proc_.comm(pid_, Tid{pid_.value}).value_or("");
  header.command_line = proc_.command_line(pid_).value_or({});
  look_.remarks.insert(look_.remarks.end(), facts.remarks.begin(), facts.remarks.end());
}

Result<Unit> TraceLooker::look_once() {
  phase("copying memory");
  image_.reset();  // two copies need not fit
  look_.header.wall_time = wall_clock_now();
  MEMSPY_TRY(image, attach::take_image(proc_, pid_, options_.image));
  image_ = std::move(image);
  phase("reading traces");
  std::string evidence;
  MEMSPY_TRY(table,
             cpython::read_traces({*interpreter_, *image_, image_->map(), *modules_}, &evidence));
  if (!table) return off(evidence);
  look_.remarks.push_back("traces: " + evidence);
  look_.table = std::move(*table);
  fill_header();
  return Unit{};
}

Result<TraceLook> TraceLooker::look() {
  MEMSPY_CHECK(find_interpreter());
  for (int left = kLooks; left > 0; --left) {
    auto looked = look_once();
    const bool torn = !looked.has_value() && looked.error().code == Errc::kCorrupt;
    if (!torn || left == 1) MEMSPY_CHECK(std::move(looked));
    if (!torn && is_whole(look_.table)) break;
    look_.remarks.emplace_back("the table was not whole, or its sum was found nowhere");
  }
  if (options_.types) {
    phase("finding objects");
    MEMSPY_CHECK(
        join_types({*interpreter_, *image_, image_->map(), *modules_, nullptr}, look_.table));
  }
  return std::move(look_);
}

}  // namespace

Result<TraceLook> look_at_traces(Pid pid, const TraceLookOptions& options) {
  return TraceLooker(pid, options).look();
}

}  // namespace memspy::heap

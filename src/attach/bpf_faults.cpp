#include "attach/bpf_faults.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <unordered_map>
#include <utility>

#include "attach/perf_event.h"
#include "base/unique_fd.h"

// The compiled program, as it lies in the build folder.
__asm__(
    ".pushsection .rodata\n"
    ".balign 8\n"
    "memspy_bpf_program:\n"
    ".incbin \"" MEMSPY_BPF_PROGRAM
    "\"\n"
    "memspy_bpf_program_end:\n"
    ".popsection\n");
extern "C" const char memspy_bpf_program[], memspy_bpf_program_end[];

namespace memspy::attach {
namespace {

constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;  // <linux/proc_ns.h>: PROC_PID_INIT_INO

struct ObjectCloser {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
struct LinkCloser {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
struct RingCloser {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};
using Object = std::unique_ptr<bpf_object, ObjectCloser>;
using Link = std::unique_ptr<bpf_link, LinkCloser>;

// What libbpf would write to stderr: the first complaint is the cause.
thread_local std::string first_complaint;

int note_complaint(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN || !first_complaint.empty()) return 0;
  char text[256];
  std::vsnprintf(text, sizeof(text), format, arguments);
  first_complaint = text;
  while (!first_complaint.empty() && first_complaint.back() == '\n') first_complaint.pop_back();
  return 0;
}

Error load_error(const char* what, int error) {
  const bool refused = error == EPERM || error == EACCES;
  std::string text = what;
  if (!refused && !first_complaint.empty()) text += ": " + first_complaint;
  Error failed = make_error(refused ? Errc::kPermission : Errc::kUnsupported, text, error);
  if (refused) failed.hint = "run memspy as root, or give it CAP_BPF and CAP_PERFMON";
  return failed;
}

bool in_initial_pid_namespace() {
  struct stat own {};
  return ::stat("/proc/self/ns/pid", &own) == 0 && own.st_ino == kInitialPidNamespace;
}

// The program's variables, in its .bss.
class Shared {
 public:
  Shared() = default;
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() {
    if (there()) ::munmap(place_, kPage);
  }
  void map(int fd) { place_ = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); }
  bool there() const { return place_ != MAP_FAILED; }
  volatile memspy_bpf_shared* operator->() const {
    return static_cast<volatile memspy_bpf_shared*>(place_);
  }

 private:
  static constexpr std::size_t kPage = 4096;
  void* place_ = MAP_FAILED;
};

class LoadedBpfFaults final : public BpfFaults {
 public:
  Result<Unit> open();

  int fd() const override { return ring_buffer__epoll_fd(ring_.get()); }
  void consume(const Visitor& visit) override;
  Result<Unit> watch_process(std::uint32_t process, Pid pid, const memspy_bpf_walk& walk) override;
  void forget_process(std::uint32_t process, Pid pid) override;
  Result<Unit> watch_thread(std::uint32_t process, Tid tid, std::uint64_t period) override;
  void forget_thread(Tid tid) override;
  void set_period(Tid tid, std::uint64_t period) override;
  std::uint64_t count(Tid tid) const override;
  Result<Unit> tell_writes(const PerfWatch& watch) override;
  void expect_writes(std::uint32_t process, RemoteAddr address, std::int64_t most) override;
  void forget_writes(std::uint32_t process, RemoteAddr address) override;
  void allow(std::int64_t records) override { shared_->records_left = records; }
  Lost lost() const override { return {shared_->without_room, shared_->untold}; }

 private:
  static int on_record(void* self, void* data, std::size_t size);
  Result<int> map(const char* name) const;
  Result<Unit> attach_births();

  Object object_;
  bpf_program *fault_program_ = nullptr, *write_program_ = nullptr;
  Link fork_, exec_, exit_;
  std::unique_ptr<ring_buffer, RingCloser> ring_;
  struct Thread {
    Link link;
    int event = -1;  // the link's
  };
  std::unordered_map<Tid, Thread> threads_;
  Shared shared_;
  int walks_ = -1, thread_map_ = -1, processes_ = -1, watched_ = -1;
  const Visitor* visitor_ = nullptr;
};

Result<int> LoadedBpfFaults::map(const char* name) const {
  const bpf_map* found = bpf_object__find_map_by_name(object_.get(), name);
  if (found == nullptr)
    return make_error(Errc::kInternal, std::string("the BPF program has no map ") + name);
  return bpf_map__fd(found);
}

Result<Unit> LoadedBpfFaults::open() {
  first_complaint.clear();
  libbpf_set_print(note_complaint);
  if (!in_initial_pid_namespace())
    return make_error(Errc::kUnsupported,
                      "memspy runs in a PID namespace of its own, where the kernel's thread ids "
                      "mean nothing");
  const auto size = static_cast<std::size_t>(memspy_bpf_program_end - memspy_bpf_program);
  object_.reset(bpf_object__open_mem(memspy_bpf_program, size, nullptr));
  if (!object_) return load_error("cannot read the BPF program", errno);
  if (bpf_object__load(object_.get()) != 0) return load_error("cannot load the BPF program", errno);
  fault_program_ = bpf_object__find_program_by_name(object_.get(), "on_fault");
  write_program_ = bpf_object__find_program_by_name(object_.get(), "on_write");
  if (fault_program_ == nullptr || write_program_ == nullptr)
    return make_error(Errc::kInternal, "there is no BPF program on_fault or on_write");
  MEMSPY_TRY(walks, map("walks"));
  MEMSPY_TRY(threads, map("threads"));
  MEMSPY_TRY(processes, map("processes"));
  MEMSPY_TRY(watched, map("watched"));
  MEMSPY_TRY(records, map("records"));
  walks_ = walks;
  thread_map_ = threads;
  processes_ = processes;
  watched_ = watched;
  MEMSPY_TRY(variables, map(".bss"));
  shared_.map(variables);
  if (!shared_.there()) return load_error("cannot map the BPF program's variables", errno);
  ring_.reset(ring_buffer__new(records, on_record, this, nullptr));
  if (!ring_) return load_error("cannot map the BPF program's ring", errno);
  return attach_births();
}

Result<Unit> LoadedBpfFaults::attach_births() {
  const auto attach = [&](const char* name, Link& link) -> Result<Unit> {
    const bpf_program* program = bpf_object__find_program_by_name(object_.get(), name);
    if (program != nullptr) link.reset(bpf_program__attach(program));
    if (!link) return load_error("cannot attach the BPF program of births", errno);
    return Unit{};
  };
  MEMSPY_CHECK(attach("on_fork", fork_));
  MEMSPY_CHECK(attach("on_exec", exec_));
  return attach("on_exit", exit_);
}

int LoadedBpfFaults::on_record(void* self, void* data, std::size_t size) {
  const auto* head = static_cast<const memspy_bpf_record*>(data);
  if (size < sizeof(*head)) return 0;
  const std::size_t bytes =
      std::size_t{head->frames} * MEMSPY_BPF_FRAME_STRIDE(std::size_t{head->frame_bytes});
  if (size - sizeof(*head) < bytes) return 0;
  const auto* frames = reinterpret_cast<const std::byte*>(head + 1);
  (*static_cast<LoadedBpfFaults*>(self)->visitor_)({*head, {frames, bytes}});
  return 0;
}

void LoadedBpfFaults::consume(const Visitor& visit) {
  if (visitor_ != nullptr) return;  // what is visited has asked for more: it comes next anyway
  visitor_ = &visit;
  ring_buffer__consume(ring_.get());
  visitor_ = nullptr;
}

Result<Unit> LoadedBpfFaults::watch_process(std::uint32_t process, Pid pid,
                                            const memspy_bpf_walk& walk) {
  const auto key = static_cast<std::uint32_t>(pid.value);
  if (bpf_map_update_elem(walks_, &process, &walk, BPF_ANY) != 0 ||
      bpf_map_update_elem(processes_, &key, &process, BPF_ANY) != 0)
    return make_error(Errc::kUnsupported, "too many processes for the BPF program", errno);
  return Unit{};
}

void LoadedBpfFaults::forget_process(std::uint32_t process, Pid pid) {
  const auto key = static_cast<std::uint32_t>(pid.value);
  bpf_map_delete_elem(walks_, &process);
  bpf_map_delete_elem(processes_, &key);
}

Result<Unit> LoadedBpfFaults::watch_thread(std::uint32_t process, Tid tid, std::uint64_t period) {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_PAGE_FAULTS;
  attr.sample_period = period;
  attr.sample_type = PERF_SAMPLE_ADDR;
  attr.exclude_hv = 1;
  attr.disabled = 1;
  attr.wakeup_events = 1;
  MEMSPY_TRY(event, open_perf_event(attr, tid, "page-fault"));
  const auto key = static_cast<std::uint32_t>(tid.value);
  memspy_bpf_thread fresh{};
  fresh.process = process;
  if (bpf_map_update_elem(thread_map_, &key, &fresh, BPF_ANY) != 0)
    return make_error(Errc::kUnsupported, "too many threads for the BPF program", errno);
  bpf_perf_event_opts options{};
  options.sz = sizeof(options);
  options.bpf_cookie = static_cast<std::uint64_t>(process) << 32 | key;
  // Owns the event from here on; and enables it.
  Link link(bpf_program__attach_perf_event_opts(fault_program_, event.get(), &options));
  if (!link) return load_error("cannot attach the BPF program to a page-fault event", errno);
  threads_[tid] = {std::move(link), event.release()};
  return Unit{};
}

// The event keeps the program, and has no cookie: the program knows the thread by its number.
Result<Unit> LoadedBpfFaults::tell_writes(const PerfWatch& watch) {
  if (::ioctl(watch.fd(), PERF_EVENT_IOC_SET_BPF, bpf_program__fd(write_program_)) != 0)
    return load_error("cannot attach the BPF program to a watchpoint", errno);
  return Unit{};
}

void LoadedBpfFaults::expect_writes(std::uint32_t process, RemoteAddr address, std::int64_t most) {
  const memspy_bpf_watched key{address.value, process, 0};
  bpf_map_update_elem(watched_, &key, &most, BPF_ANY);
}

void LoadedBpfFaults::forget_writes(std::uint32_t process, RemoteAddr address) {
  const memspy_bpf_watched key{address.value, process, 0};
  bpf_map_delete_elem(watched_, &key);
}

void LoadedBpfFaults::forget_thread(Tid tid) {
  const auto key = static_cast<std::uint32_t>(tid.value);
  threads_.erase(tid);
  bpf_map_delete_elem(thread_map_, &key);
}

void LoadedBpfFaults::set_period(Tid tid, std::uint64_t period) {
  const auto it = threads_.find(tid);
  if (it != threads_.end()) ::ioctl(it->second.event, PERF_EVENT_IOC_PERIOD, &period);
}

std::uint64_t LoadedBpfFaults::count(Tid tid) const {
  const auto it = threads_.find(tid);
  std::uint64_t faults = 0;
  if (it == threads_.end() || ::read(it->second.event, &faults, sizeof(faults)) != sizeof(faults))
    return 0;
  return faults;
}

}  // namespace

Result<std::unique_ptr<BpfFaults>> BpfFaults::load() {
  auto loaded = std::make_unique<LoadedBpfFaults>();
  MEMSPY_CHECK(loaded->open());
  return std::unique_ptr<BpfFaults>(std::move(loaded));
}

}  // namespace memspy::attach

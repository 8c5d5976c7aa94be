#include "heap/heap_look.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>

#include "attach/access.h"
#include "attach/process_vm.h"
#include "base/byte_units.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/parallel.h"
#include "heap/gc_summary.h"
#include "heap/ledger.h"
#include "heap/phase_times.h"
#include "heap/string_marks.h"
#include "heap/sweep.h"
#include "malloc/malloc_census.h"
#include "procfs/proc_dir.h"
#include "snapshot/graph_builder.h"
#include "symbolize/module_index.h"

namespace memspy::heap {
namespace {

using attach::ProcessImage;
using cpython::HeapWalker;
using cpython::Interpreter;

constexpr std::size_t kTextCap = 200;  // characters of a string that are kept

// Hands a walk on to the builder, and tells how far it is.
class WatchedBuilder final : public ObjectVisitor {
 public:
  WatchedBuilder(snapshot::GraphBuilder& builder, const LookOptions& options, PhaseTimes& times)
      : builder_(builder), options_(options), times_(times) {}
  void on_name(NameIndex index, std::string_view text) override { builder_.on_name(index, text); }
  void on_types(std::span<const HeapType> types) override {
    times_.begin("sizes");
    builder_.on_types(types);
  }
  void on_objects(std::span<const HeapNode> nodes) override {
    count_ += nodes.size();
    builder_.on_objects(nodes);
  }
  void on_edges(NodeIndex from, std::span<const HeapEdge> edges) override {
    constexpr std::uint32_t kEvery = 0x3fff;
    if (!any_edges_) times_.begin("references");
    any_edges_ = true;
    if (options_.progress && (from.value & kEvery) == 0)
      options_.progress("following references",
                        static_cast<double>(from.value) / static_cast<double>(count_));
    builder_.on_edges(from, edges);
  }
  void on_labels(std::span<const HeapLabel> labels) override {
    times_.begin("roots");
    builder_.on_labels(labels);
  }
  void on_roots(std::span<const HeapRoot> roots) override { builder_.on_roots(roots); }

 private:
  snapshot::GraphBuilder& builder_;
  const LookOptions& options_;
  PhaseTimes& times_;
  bool any_edges_ = false;
  std::uint64_t count_ = 1;
};

class ChunkSizes final : public cpython::BlockSizes {
 public:
  explicit ChunkSizes(const malloc::MallocCensus& census) : census_(census) {}
  std::optional<std::uint64_t> usable_size(RemoteAddr block) const override {
    return census_.chunk_bytes(block);
  }

 private:
  const malloc::MallocCensus& census_;
};

// All that the copy of a process is read through; kept as long as texts may be asked for.
struct Parts {
  procfs::ProcDir proc;
  std::unique_ptr<attach::ProcessVm> live;  // what the module index reads ELF images from
  std::unique_ptr<ProcessImage> image;
  std::unique_ptr<SymbolSource> modules;
  std::optional<Interpreter> interpreter;
  std::optional<malloc::MallocCensus> malloc;
  std::unique_ptr<ChunkSizes> chunks;
  std::unique_ptr<HeapWalker> walker;
};

class Looker {
 public:
  explicit Looker(const LookOptions& options) : options_(options) {}
  Result<HeapLook> process(Pid pid);
  Result<HeapLook> core(const std::string& core, const std::string& executable);

 private:
  void phase(const char* name) {
    times_.begin(name);
    if (options_.progress) options_.progress(name, 0);
  }
  // An error when nobody waits for the rest.
  Result<Unit> still_wanted() const {
    if (options_.cancelled && options_.cancelled())
      return make_error(Errc::kInternal, "the look was given up");
    return Unit{};
  }
  Result<Unit> find_interpreter(const MemoryReader& memory, const MemoryMap& map);
  Result<Unit> walk();
  LedgerInput ledger_input();
  void analyse();
  void add_ledger(Ledger ledger);
  void fill_header();
  void read_values();
  Result<HeapLook> finish();

  const LookOptions& options_;
  std::shared_ptr<Parts> parts_ = std::make_shared<Parts>();
  std::vector<AddressRange> arenas_;
  HeapLook look_;
  PhaseTimes times_;
};

Result<Unit> Looker::find_interpreter(const MemoryReader& memory, const MemoryMap& map) {
  auto found =
      Interpreter::open(memory, map, *parts_->modules, {options_.assume_minor}, &look_.attempts);
  if (!found.has_value()) return std::move(found).error();
  parts_->interpreter = std::move(*found);
  look_.layout_source = parts_->interpreter->layout().source;
  return Unit{};
}

Result<HeapLook> Looker::process(Pid pid) {
  phase("finding the interpreter");
  const procfs::ProcDir& proc = parts_->proc;
  MEMSPY_CHECK(attach::check_access(proc, pid));
  MEMSPY_TRY(map, proc.maps(pid));
  parts_->live = std::make_unique<attach::ProcessVm>(pid);
  parts_->modules = std::make_unique<symbolize::ModuleIndex>(proc, pid, map, *parts_->live);
  MEMSPY_CHECK(find_interpreter(*parts_->live, map));

  MEMSPY_TRY(estimate, attach::estimate_image(proc, pid, options_.image));
  look_.remarks.push_back(
      fmt::format("estimate: {} to copy, a pause of {}, {} free", format_bytes(estimate.copy_bytes),
                  format_duration(estimate.pause), format_bytes(estimate.available_bytes)));
  MEMSPY_CHECK(still_wanted());
  phase("copying memory");
  look_.snapshot.header.wall_time = wall_clock_now();
  MEMSPY_TRY(image, options_.take ? options_.take(options_.image)
                                  : attach::take_image(proc, pid, options_.image));
  parts_->image = std::move(image);
  auto& header = look_.snapshot.header;
  header.source = fmt::format("process {}", pid.value);
  header.process_name = proc.comm(pid, Tid{pid.value}).value_or("");
  header.command_line = proc.command_line(pid).value_or({});
  return finish();
}

Result<HeapLook> Looker::core(const std::string& core, const std::string& executable) {
  phase("reading the core file");
  MEMSPY_TRY(image, attach::open_core(core, executable));
  parts_->image = std::move(image);
  // No process stands behind it: files come from the image, as far as a core file holds them.
  const procfs::ProcDir nowhere("/nonexistent");
  parts_->modules = std::make_unique<symbolize::ModuleIndex>(
      nowhere, parts_->image->facts().process.pid, parts_->image->map(), *parts_->image);
  phase("finding the interpreter");
  MEMSPY_CHECK(find_interpreter(*parts_->image, parts_->image->map()));
  auto& header = look_.snapshot.header;
  header.process_name = parts_->image->facts().name;
  if (const std::string& command = parts_->image->facts().command; !command.empty())
    header.command_line = {command};
  std::error_code none;
  header.wall_time = std::chrono::file_clock::to_sys(std::filesystem::last_write_time(core, none))
                         .time_since_epoch();
  const std::size_t slash = core.rfind('/');
  header.source = "core file " + (slash == std::string::npos ? core : core.substr(slash + 1));
  return finish();
}

void Looker::fill_header() {
  const attach::ImageFacts& facts = parts_->image->facts();
  auto& header = look_.snapshot.header;
  header.process = facts.process;
  header.pause = facts.pause;
  header.rss_bytes = facts.rss_bytes;
  header.moved_threads = facts.moved;
  const cpython::Version& version = parts_->interpreter->version();
  header.python_version = version.text();
  header.values = options_.values;
  header.rejected = look_.stats.rejected;
  header.rejected_bytes = look_.stats.rejected_bytes;
  const auto number = [&](const char* name, std::uint64_t value) {
    header.counters.emplace_back(name, static_cast<double>(value));
  };
  number("copied_bytes", facts.copied_bytes);
  number("threads", facts.threads);
  number("threads_held", facts.held);
  number("threads_left_alone", facts.left_alone);
  number("copy_attempts", facts.attempts);
  number("cut_calls", facts.cut_calls);
  number("from_pools", look_.stats.from_pools);
  number("from_lists", look_.stats.from_lists);
  number("from_edges", look_.stats.from_edges);
  number("gc_listed", look_.stats.gc_listed);
  number("listed_not_found", look_.stats.listed_not_found);
  number("edges", look_.stats.edges);
  number("dangling", look_.stats.dangling);
  number("collecting", look_.stats.collecting ? 1 : 0);
  look_.remarks.insert(look_.remarks.end(), facts.remarks.begin(), facts.remarks.end());
}

Result<Unit> Looker::walk() {
  const ProcessImage& image = *parts_->image;
  phase("walking malloc's heaps");
  parts_->malloc =
      malloc::MallocCensus::take(image, image.map(), *parts_->modules, image.resident());
  parts_->chunks = std::make_unique<ChunkSizes>(*parts_->malloc);
  MEMSPY_CHECK(still_wanted());
  phase("finding objects");
  parts_->walker = std::make_unique<HeapWalker>(cpython::HeapInput{
      *parts_->interpreter, image, image.map(), *parts_->modules, parts_->chunks.get()});
  snapshot::GraphBuilder builder;
  WatchedBuilder watched(builder, options_, times_);
  MEMSPY_TRY(stats, parts_->walker->walk(watched));
  look_.stats = std::move(stats);
  MEMSPY_TRY(graph, builder.finish());
  look_.snapshot.graph = std::move(graph);
  parts_->walker->forget_objects();
  return Unit{};
}

// Strings and numbers, for who asked for contents.
void Looker::read_values() {
  static constexpr std::array kTypes{"builtins.str", "builtins.bytes", "builtins.int",
                                     "builtins.float", "builtins.bool"};
  const auto& graph = look_.snapshot.graph;
  std::vector<bool> wanted;
  for (const HeapType& type : graph.types())
    wanted.push_back(std::find(kTypes.begin(), kTypes.end(), type.name) != kTypes.end());
  std::vector<NodeIndex> nodes;
  for (std::uint32_t i = 0; i < graph.node_count(); ++i)
    if (wanted[graph.type(NodeIndex{i}).value]) nodes.push_back({i});
  look_.read_texts(look_.snapshot, nodes);
}

LedgerInput Looker::ledger_input() {
  const ProcessImage& image = *parts_->image;
  const HeapWalker& walker = *parts_->walker;
  arenas_ = walker.arenas();
  return {image.facts().rss_bytes,
          image,
          *parts_->modules,
          image.pages(),
          image.resident(),
          *parts_->malloc,
          look_.snapshot.graph,
          &look_.owners,
          walker.owned_buffers(),
          arenas_,
          [&walker](const auto& visit) { walker.for_each_pool(visit); }};
}

// What the graph says by itself, while another thread looks whose each byte of the memory is.
void Looker::analyse() {
  const LedgerInput input = ledger_input();
  Sweep sweep;
  in_parallel(2, [&](unsigned worker) {
    if (worker != 0) {
      sweep = sweep_memory(input);
      parts_->walker->forget_memory();
      return;
    }
    phase("dominators");
    look_.dominators = snapshot::compute_dominators(look_.snapshot.graph);
    phase("owners");
    look_.owners = snapshot::find_owners(look_.snapshot.graph, look_.dominators);
    look_.snapshot.gc = summarize_gc(*parts_->interpreter, *parts_->image, look_.snapshot.graph);
    phase("ledger");
  });
  add_ledger(build_ledger(input, std::move(sweep)));
}

void Looker::add_ledger(Ledger ledger) {
  look_.snapshot.ledger = std::move(ledger.rows);
  auto& counters = look_.snapshot.header.counters;
  counters.insert(counters.end(), ledger.counters.begin(), ledger.counters.end());
  const auto& totals = parts_->malloc->totals();
  look_.remarks.push_back("malloc: " + totals.allocator);
  look_.remarks.insert(look_.remarks.end(), totals.evidence.begin(), totals.evidence.end());
}

Result<HeapLook> Looker::finish() {
  MEMSPY_CHECK(walk());
  fill_header();
  look_.read_texts = [parts = parts_](snapshot::Snapshot& into, std::span<const NodeIndex> nodes) {
    for (const NodeIndex node : nodes) {
      std::string text =
          parts->walker->text_of(into.graph.address(node), into.graph.type(node), kTextCap);
      if (!text.empty()) into.texts.insert_or_assign(node.value, std::move(text));
    }
  };
  if (options_.values) {
    phase("reading values");
    read_values();
  }
  if (options_.marks) {
    phase("comparing strings");
    MEMSPY_TRY(found, mark_strings(parts_->interpreter->layout(), *parts_->image,
                                   look_.snapshot.graph, parts_->image->facts().copied_bytes));
    look_.snapshot.string_marks = std::move(found.marks);
    if (found.without > 0)
      look_.remarks.push_back(fmt::format("{} strings could not be compared", found.without));
  }
  MEMSPY_CHECK(still_wanted());
  analyse();
  look_.remarks.push_back("steps: " + times_.text());
  return std::move(look_);
}

}  // namespace

Result<HeapLook> look_at_process(Pid pid, const LookOptions& options) {
  return Looker(options).process(pid);
}

Result<HeapLook> look_at_core(const std::string& core, const std::string& executable,
                              const LookOptions& options) {
  return Looker(options).core(core, executable);
}

}  // namespace memspy::heap

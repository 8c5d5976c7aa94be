// heap_probe PID [--edges]: the heap of a CPython process that stands still, one JSON object a
// line:
// {"address","type","getsizeof","bytes","flags","generation"[,"edges":[[to,kind,weak],…]]}; the
// last line is {"stats":{…}}. For comparisons with what the process knows of itself.
#include <sys/types.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "attach/process_vm.h"
#include "cpython/heap/heap_walker.h"
#include "procfs/proc_dir.h"
#include "support/copied_process.h"
#include "symbolize/module_index.h"

namespace memspy {
namespace {

class Collector final : public ObjectVisitor {
 public:
  void on_name(NameIndex, std::string_view) override {}
  void on_types(std::span<const HeapType> types) override {
    types_.assign(types.begin(), types.end());
  }
  void on_objects(std::span<const HeapNode> nodes) override {
    nodes_.insert(nodes_.end(), nodes.begin(), nodes.end());
  }
  void on_edges(NodeIndex from, std::span<const HeapEdge> edges) override {
    if (keep_edges) edges_.resize(nodes_.size());
    if (keep_edges) edges_[from.value].assign(edges.begin(), edges.end());
  }
  void on_roots(std::span<const HeapRoot> roots) override { root_count += roots.size(); }

  bool keep_edges = false;
  std::size_t root_count = 0;
  std::vector<HeapType> types_;
  std::vector<HeapNode> nodes_;
  std::vector<std::vector<HeapEdge>> edges_;
};

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

void print_node(const Collector& heap, const cpython::HeapWalker& walker, std::size_t i) {
  const HeapNode& node = heap.nodes_[i];
  const int generation =
      (node.flags & kNodeGcTracked) != 0 ? node.flags >> kNodeGenerationShift & 3 : -1;
  std::string line = fmt::format(
      R"({{"address":{},"type":{},"getsizeof":{},"bytes":{},"flags":{},"generation":{})",
      node.address.value, quoted(heap.types_[node.type.value].name), walker.getsizeof(node.address),
      node.bytes, node.flags, generation);
  if (heap.keep_edges) {
    line += ",\"edges\":[";
    const char* comma = "";
    if (i < heap.edges_.size()) {
      for (const HeapEdge& edge : heap.edges_[i]) {
        line += fmt::format("{}[{},{},{}]", comma, heap.nodes_[edge.to.value].address.value,
                            static_cast<int>(edge.kind), edge.weak ? 1 : 0);
        comma = ",";
      }
    }
    line += ']';
  }
  line += "}\n";
  std::fputs(line.c_str(), stdout);
}

void print_stats(const cpython::WalkStats& s, double seconds) {
  const cpython::PymallocBytes& p = s.pymalloc;
  fmt::print(
      R"({{"stats":{{"objects":{},"from_pools":{},"from_lists":{},"from_edges":{},"gc_listed":{},)"
      R"("listed_not_found":{},"rejected":{},"edges":{},"dangling":{},"collecting":{},"seconds":{:.3f},)"
      R"("arenas":{},"pools":{},"used_blocks":{},"live_objects":{},"owned_blocks":{},"other_blocks":{},)"
      R"("free_blocks":{},"free_pools":{},"headers":{}}}}})"
      "\n",
      s.objects, s.from_pools, s.from_lists, s.from_edges, s.gc_listed, s.listed_not_found,
      s.rejected, s.edges, s.dangling, s.collecting ? 1 : 0, seconds, p.arenas, p.pools,
      p.used_blocks, p.live_objects, p.owned_blocks, p.other_blocks, p.free_blocks, p.free_pools,
      p.headers);
}

int fail(const Error& error) {
  fmt::print(stderr, "heap_probe: {}\n{}\n", error.message, error.why);
  return 1;
}

int run(Pid pid, bool edges, bool quiet) {
  const procfs::ProcDir proc("/proc");
  auto map = proc.maps(pid);
  if (!map.has_value()) return fail(map.error());
  const attach::ProcessVm live(pid);
  const symbolize::ModuleIndex modules(proc, pid, *map, live);
  const testing::CopiedProcess copy(pid, *map);
  auto interpreter = cpython::Interpreter::open(copy, *map, modules, {}, nullptr);
  if (!interpreter.has_value()) return fail(interpreter.error());
  cpython::HeapWalker walker({*interpreter, copy, *map, modules, nullptr});
  Collector heap;
  heap.keep_edges = edges;
  const auto start = std::chrono::steady_clock::now();
  auto stats = walker.walk(heap);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (!stats.has_value()) return fail(stats.error());
  for (std::size_t i = 0; i < heap.nodes_.size() && !quiet; ++i) print_node(heap, walker, i);
  print_stats(*stats, took.count());
  return 0;
}

}  // namespace
}  // namespace memspy

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: heap_probe PID [--edges] [--quiet]\n", stderr);
    return 2;
  }
  bool edges = false, quiet = false;
  for (int i = 2; i < argc; ++i) {
    edges = edges || std::string_view(argv[i]) == "--edges";
    quiet = quiet || std::string_view(argv[i]) == "--quiet";
  }
  return memspy::run({static_cast<pid_t>(std::strtol(argv[1], nullptr, 10))}, edges, quiet);
}

// The walk of a live heap, for tests: one JSON line per node, one per root, and one of statistics.
//
//   heap_account PID
#include <spdlog/fmt/fmt.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "attach/process_image.h"
#include "cpython/heap/heap_walker.h"
#include "symbolize/module_index.h"

namespace memspy {
namespace {

class Recorder final : public ObjectVisitor {
 public:
  void on_name(NameIndex index, std::string_view text) override { names_[index.value] = text; }
  void on_types(std::span<const HeapType> types) override {
    types_.assign(types.begin(), types.end());
  }
  void on_objects(std::span<const HeapNode> nodes) override {
    nodes_.insert(nodes_.end(), nodes.begin(), nodes.end());
  }
  void on_edges(NodeIndex from, std::span<const HeapEdge> edges) override {
    edges_[from.value].assign(edges.begin(), edges.end());
  }
  void on_roots(std::span<const HeapRoot> roots) override {
    roots_.insert(roots_.end(), roots.begin(), roots.end());
  }

  void print(const cpython::HeapWalker& walker) const {
    for (std::uint32_t index = 0; index < nodes_.size(); ++index)
      print_node(index, walker.getsizeof(nodes_[index].address));
    for (const HeapRoot& root : roots_) {
      fmt::print("{{\"root\":{},\"to\":{},\"name\":\"{}\"}}\n", static_cast<int>(root.kind),
                 address_of(root.to), escaped(name_of(root.name)));
    }
  }

 private:
  // 0: no node of that number, which a test will not find either.
  std::uint64_t address_of(NodeIndex node) const {
    return node.value < nodes_.size() ? nodes_[node.value].address.value : 0;
  }
  std::string name_of(NameIndex index) const {
    const auto found = names_.find(index.value);
    return found == names_.end() ? std::string() : found->second;
  }
  static std::string escaped(const std::string& text) {
    std::string out;
    for (const char each : text) {
      if (static_cast<unsigned char>(each) < ' ' || each == '"' || each == '\\')
        out += fmt::format("\\u{:04x}", static_cast<unsigned char>(each));
      else
        out += each;
    }
    return out;
  }

  void print_node(std::uint32_t index, std::uint64_t size) const {
    const HeapNode& node = nodes_[index];
    std::string edges;
    if (const auto found = edges_.find(index); found != edges_.end()) {
      for (const HeapEdge& edge : found->second) {
        fmt::format_to(std::back_inserter(edges), "{}[{},{},{},\"{}\"]", edges.empty() ? "" : ",",
                       address_of(edge.to), static_cast<int>(edge.kind), edge.weak ? 1 : 0,
                       edge.kind == EdgeKind::kInternal ? escaped(name_of({edge.value})) : "");
      }
    }
    fmt::print("{{\"address\":{},\"type\":\"{}\",\"bytes\":{},\"getsizeof\":{},\"flags\":{},\"edges\":[{}]}}\n",
               node.address.value, escaped(types_[node.type.value].name), node.bytes, size,
               static_cast<int>(node.flags), edges);
  }

  std::map<std::uint32_t, std::string> names_;
  std::vector<HeapType> types_;
  std::vector<HeapNode> nodes_;
  std::map<std::uint32_t, std::vector<HeapEdge>> edges_;
  std::vector<HeapRoot> roots_;
};

void print_stats(const cpython::WalkStats& stats) {
  const cpython::PymallocBytes& bytes = stats.pymalloc;
  fmt::print("{{\"objects\":{},\"from_pools\":{},\"from_lists\":{},\"from_edges\":{},\"gc_listed\":{},"
             "\"listed_not_found\":{},\"rejected\":{},\"rejected_bytes\":{},\"edges\":{},\"dangling\":{},"
             "\"collecting\":{},\"pymalloc\":{{\"arenas\":{},\"pools\":{},\"used_blocks\":{},"
             "\"live_objects\":{},\"owned_blocks\":{},\"other_blocks\":{},\"free_blocks\":{},"
             "\"free_pools\":{},\"headers\":{}}}}}\n",
             stats.objects, stats.from_pools, stats.from_lists, stats.from_edges, stats.gc_listed,
             stats.listed_not_found, stats.rejected, stats.rejected_bytes, stats.edges, stats.dangling,
             stats.collecting, bytes.arenas, bytes.pools, bytes.used_blocks, bytes.live_objects,
             bytes.owned_blocks, bytes.other_blocks, bytes.free_blocks, bytes.free_pools,
             bytes.headers);
}

Result<Unit> probe(Pid pid) {
  const procfs::ProcDir proc;
  MEMSPY_TRY(image, attach::take_image(proc, pid, {}));
  const symbolize::ModuleIndex symbols(proc, pid, image->map(), *image);
  std::vector<cpython::LocatorAttempt> attempts;
  MEMSPY_TRY(interpreter,
             cpython::Interpreter::open(*image, image->map(), symbols, {}, &attempts));
  cpython::HeapWalker walker({interpreter, *image, image->map(), symbols});
  Recorder recorder;
  MEMSPY_TRY(stats, walker.walk(recorder));
  recorder.print(walker);
  print_stats(stats);
  return Unit{};
}

}  // namespace
}  // namespace memspy

int main(int count, char** words) {
  int pid = 0;
  if (count != 2 ||
      std::from_chars(words[1], words[1] + std::strlen(words[1]), pid).ec != std::errc{}) {
    fmt::print(stderr, "usage: heap_account PID\n");
    return 2;
  }
  const auto done = memspy::probe(memspy::Pid{pid});
  if (done.has_value()) return 0;
  fmt::print(stderr, "heap_account: {}\n", done.error().message);
  return 1;
}

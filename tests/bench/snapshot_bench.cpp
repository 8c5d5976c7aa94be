// What a large heap costs: a synthetic one, shaped as real ones are (45 % leaves with one referrer,
// 80 % of all with one, a few hubs, cycles, some garbage), through every step that a verb takes.
//   snapshot_bench NODES [FILE]
// Prints seconds, resident bytes a node, and their peak; with FILE also writes, opens and compares.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "snapshot/diff.h"
#include "snapshot/graph_builder.h"
#include "snapshot/paths.h"
#include "snapshot/snapshot_file.h"

namespace {

using namespace memspy;            // NOLINT
using namespace memspy::snapshot;  // NOLINT

std::uint64_t g_random = 88172645463325252ULL;
std::uint64_t below(std::uint64_t bound) {
  g_random ^= g_random << 13;
  g_random ^= g_random >> 7;
  g_random ^= g_random << 17;
  return (g_random >> 11) % bound;
}

double field_mb(const char* name) {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  char line[256];
  long kb = 0;
  const std::string format = std::string(name) + ": %ld kB";
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::sscanf(line, format.c_str(), &kb) == 1) break;
  }
  std::fclose(file);
  return static_cast<double>(kb) / 1024;
}

class Phase {
 public:
  Phase(const char* name, std::uint32_t nodes)
      : name_(name), nodes_(nodes), start_(std::chrono::steady_clock::now()), cpu_(cpu()) {
    if (std::FILE* file = std::fopen("/proc/self/clear_refs", "w"); file != nullptr) {
      std::fputs("5", file);  // the peak begins anew
      std::fclose(file);
    }
  }
  ~Phase() {
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start_;
    const double per = 1024.0 * 1024 / nodes_;
    std::printf("%-22s %7.2f s wall %7.2f s cpu   %5.1f B/node after, %5.1f at the peak\n", name_,
                wall.count(), cpu() - cpu_, field_mb("VmRSS") * per, field_mb("VmHWM") * per);
    std::fflush(stdout);
  }

 private:
  static double cpu() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  const char* name_;
  std::uint32_t nodes_;
  std::chrono::steady_clock::time_point start_;
  double cpu_;
};

constexpr std::uint32_t kTypes = 200, kHubs = 1000, kModules = 300;

// A node's role follows from a hash of its number, so that edges can be made in one pass.
std::uint32_t role(std::uint32_t n) {
  return static_cast<std::uint32_t>((n * 0x9e3779b97f4a7c15ULL) >> 40) % 100;
}

// Parents come a little before their children in memory, as they do where one allocates them.
void tell_edges(GraphBuilder& builder, std::uint32_t nodes) {
  std::vector<HeapEdge> edges;
  std::uint32_t next_child = kHubs + kModules;
  for (std::uint32_t n = 0; n < nodes; ++n) {
    edges.clear();
    const bool leaf = n >= kHubs + kModules && role(n) < 45;
    if (!leaf) {
      // Half of the nodes are inner: two children each make a tree of all.
      const std::uint32_t own = n < kModules ? 40 : static_cast<std::uint32_t>(below(4)) + 1;
      for (std::uint32_t i = 0; i < own && next_child < nodes; ++i, ++next_child) {
        if (role(next_child) >= 98) continue;  // held by others, or garbage
        edges.push_back({{next_child}, i == 0 ? EdgeKind::kAttribute : EdgeKind::kIndex, false, 1});
      }
      // Every second refers to a hub (its class, an interned key); some back up, or anywhere.
      if (below(2) == 0)
        edges.push_back(
            {{kModules + static_cast<std::uint32_t>(below(kHubs))}, EdgeKind::kInternal, false, 1});
      if (below(5) == 0)
        edges.push_back({{n - static_cast<std::uint32_t>(below(std::min(n, 100U) + 1))},
                         EdgeKind::kAttribute,
                         false,
                         1});
      if (below(8) == 0) {
        std::uint32_t to = static_cast<std::uint32_t>(below(nodes));
        while (role(to) < 45) to = (to + 1) % nodes;
        edges.push_back({{to}, EdgeKind::kIndex, below(20) == 0, 3});
      }
    }
    if (!edges.empty()) builder.on_edges({n}, edges);
  }
}

ObjectGraph build(std::uint32_t nodes) {
  GraphBuilder builder;
  builder.on_name({1}, "attribute");
  builder.on_name({2}, "app.module");
  std::vector<HeapType> types;
  for (std::uint32_t t = 0; t < kTypes; ++t)
    types.push_back({RemoteAddr{0x1000 + t * 64ULL}, "app.T" + std::to_string(t), true});
  builder.on_types(types);
  std::vector<HeapNode> batch;
  for (std::uint32_t n = 0; n < nodes; ++n) {
    batch.push_back({RemoteAddr{0x7f0000000000 + n * 80ULL},
                     TypeIndex{role(n) < 45 ? n % 10 : 10 + n % (kTypes - 10)}, kNodeGcTracked,
                     32 + 16 * below(6)});
    if (batch.size() == 4096 || n + 1 == nodes) {
      builder.on_objects(batch);
      batch.clear();
    }
  }
  tell_edges(builder, nodes);
  std::vector<HeapRoot> roots;
  for (std::uint32_t n = 0; n < kModules; ++n) roots.push_back({{n}, RootKind::kModule, {2}});
  builder.on_roots(roots);
  auto graph = builder.finish();
  if (!graph.has_value()) std::abort();
  return std::move(graph).value();
}

void describe(const ObjectGraph& graph, const Dominators& dominators) {
  std::vector<std::uint8_t> referrers(graph.node_count());
  for (std::uint32_t e = 0; e < graph.edge_count(); ++e) {
    std::uint8_t& count = referrers[graph.all_targets()[e]];
    if (!graph.all_labels()[e].weak() && count < 2) ++count;
  }
  std::uint64_t single = 0, leaves = 0, garbage = 0;
  for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
    single += referrers[n] == 1 ? 1 : 0;
    leaves += referrers[n] == 1 && graph.targets({n}).empty() ? 1 : 0;
    garbage += dominators.garbage[n];
  }
  const double all = graph.node_count();
  std::printf(
      "%.0f nodes, %.2f edges a node; %.0f %% one referrer, %.0f %% such leaves, %.1f %% garbage\n",
      all, static_cast<double>(graph.edge_count()) / all, 100.0 * static_cast<double>(single) / all,
      100.0 * static_cast<double>(leaves) / all, 100.0 * static_cast<double>(garbage) / all);
}

void use_file(const Snapshot& snapshot, const Dominators& dominators, const std::string& path,
              std::uint32_t nodes) {
  {
    const Phase phase("write", nodes);
    if (!write_snapshot(path, snapshot, dominators).has_value()) std::abort();
  }
  OpenedSnapshot one, two;
  for (auto* opened : {&one, &two}) {
    const Phase phase("open", nodes);
    auto result = open_snapshot(path);
    if (!result.has_value()) std::abort();
    *opened = std::move(result).value();
  }
  const Phase phase("owners and diff of two", nodes);
  const auto owners = find_owners(one.snapshot.graph, one.dominators),
             others = find_owners(two.snapshot.graph, two.dominators);
  const std::vector<Look> looks = {{&one.snapshot, &one.dominators, &owners},
                                   {&two.snapshot, &two.dominators, &others}};
  if (!diff_snapshots(looks).has_value()) std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  const auto nodes = static_cast<std::uint32_t>(argc > 1 ? std::atol(argv[1]) : 5000000);
  Snapshot snapshot;
  {
    const Phase phase("build", nodes);
    snapshot.graph = build(nodes);
  }
  Dominators dominators;
  {
    const Phase phase("dominators", nodes);
    dominators = compute_dominators(snapshot.graph);
  }
  describe(snapshot.graph, dominators);
  {
    const Phase phase("totals by type", nodes);
    static_cast<void>(totals_by_type(snapshot.graph, dominators));
  }
  {
    const Phase phase("owners", nodes);
    static_cast<void>(find_owners(snapshot.graph, dominators));
  }
  {
    const Phase phase("garbage", nodes);
    static_cast<void>(find_garbage(snapshot.graph, dominators));
  }
  {
    const Phase phase("first path", nodes);
    static_cast<void>(shortest_path(snapshot, {nodes - 1}));
  }
  {
    const Phase phase("second path, by all ways", nodes);
    static_cast<void>(shortest_paths(snapshot, {nodes / 2}, 5));
  }
  std::vector<NodeIndex> instances;
  for (std::uint32_t n = 0; n < nodes; ++n) {
    if (snapshot.graph.type({n}).value < 3) instances.push_back({n});
  }
  {
    const Phase phase("merged paths", nodes);
    std::printf("%zu instances, %zu first steps\n", instances.size(),
                merge_paths(snapshot, dominators, instances).children.size());
  }
  if (argc > 2) use_file(snapshot, dominators, argv[2], nodes);
  return 0;
}

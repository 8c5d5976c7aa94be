// A snapshot: the graph of a heap and everything else that one look at a process found. What the
// verbs print is derived from it, whether it was taken now or comes from a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "memspy/process.h"
#include "snapshot/object_graph.h"
#include "snapshot/path_tree.h"

namespace memspy::snapshot {

// One row of the ledger: every resident byte of the process stands in exactly one.
struct LedgerRow {
  std::string row;  // "live objects: dict", "malloc free", "stacks", "unexplained"…
  std::uint64_t bytes = 0;
  std::string note;  // for a person: what to do about it, owners; may be empty
};

struct GcGeneration {
  std::int64_t threshold = 0, count = 0;
  std::uint64_t collections = 0, collected = 0, uncollectable = 0;
  std::uint64_t objects = 0;  // on its list, as walked
};
struct GcSummary {
  std::int64_t interpreter_id = 0;
  bool enabled = false, collecting = false;
  std::vector<GcGeneration> generations;  // youngest first; the permanent one is `frozen`
  std::uint64_t frozen = 0;
  std::vector<NodeIndex> garbage_list;  // gc.garbage
};

// Which strings say the same, without what they say: docs/snapshot-format.md. Marks compare within
// one snapshot only.
struct StringMark {
  static constexpr std::uint32_t kLongest = 0xffffffff;  // so many characters, or more
  std::uint32_t node = 0;
  std::uint32_t length = 0;  // characters
  std::uint64_t hash = 0;
  bool operator==(const StringMark&) const = default;
};

struct Header {
  std::string memspy_version;
  ProcessIdentity process;
  std::string process_name;
  std::vector<std::string> command_line;
  std::string python_version;            // "3.11.7"
  std::chrono::nanoseconds wall_time{};  // of the stop, since the Unix epoch
  std::chrono::nanoseconds pause{};      // how long the target stood still
  std::uint64_t rss_bytes = 0;           // at the stop
  std::string source;                    // "process 1234", "core file core.1234"
  bool values = false;                   // texts of strings are kept
  // What was seen and not believed: objects whose bytes contradict themselves, and what they cover.
  std::uint64_t rejected = 0, rejected_bytes = 0;
  // Threads that ran while memory was copied although they could not be held; 0: a still picture.
  std::uint32_t moved_threads = 0;
  // Further numbers worth keeping, by name: "copied_bytes", "pools", "gc_listed"…
  std::vector<std::pair<std::string, double>> counters;
};

struct Snapshot {
  Header header;
  ObjectGraph graph;
  std::vector<LedgerRow> ledger;
  std::vector<GcSummary> gc;
  // Text of keys and other short strings and numbers, as Python would print them: `'k'`, `17`. Of
  // a live look those that are asked for are added as they are; in a file only with --values.
  std::unordered_map<std::uint32_t, std::string> texts;  // by node index
  // Of all str objects whose characters could be read, ascending by node. Of a live look only where
  // they were asked for.
  std::vector<StringMark> string_marks;

  // Shortest paths of this graph, computed by the first question for one; shared by copies. A graph
  // is not exchanged behind it.
  std::shared_ptr<PathCache> path_cache = std::make_shared<PathCache>();
};

}  // namespace memspy::snapshot

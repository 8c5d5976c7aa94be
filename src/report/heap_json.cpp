#include <spdlog/fmt/fmt.h>

#include <nlohmann/json.hpp>
#include "base/duration.h"

#include "recording/text.h"
#include "report/heap_text.h"
#include "report/why.h"

namespace memspy::report {
namespace {

using nlohmann::ordered_json;
using snapshot::Look;

ordered_json types_json(const Look& look) {
  auto list = ordered_json::array();
  for (const HeapRow& row : take_heap_census(look, HeapGroup::kType, HeapSort::kBytes).rows)
    list.push_back({{"type", row.name},
                    {"count", row.count},
                    {"bytes", row.bytes},
                    {"retained_bytes", row.retained}});
  return list;
}

ordered_json groups_json(const Look& look, const HeapReportOptions& options) {
  auto list = ordered_json::array();
  for (const HeapRow& row : take_heap_census(look, options.by, options.sort).rows)
    list.push_back({{"name", row.name},
                    {"count", row.count},
                    {"bytes", row.bytes},
                    {"retained_bytes", row.retained}});
  return list;
}

ordered_json owners_json(const Look& look) {
  auto list = ordered_json::array();
  for (const auto& owner : look.owners->owners)
    list.push_back({{"owner", owner.owner}, {"bytes", owner.bytes}, {"count", owner.count}});
  return list;
}

ordered_json ledger_json(const Look& look) {
  auto list = ordered_json::array();
  for (const auto& row : look.snapshot->ledger) {
    ordered_json entry{{"row", row.row}, {"bytes", row.bytes}};
    if (!row.note.empty()) entry["note"] = row.note;
    list.push_back(std::move(entry));
  }
  return list;
}

ordered_json largest_json(const Look& look, std::size_t limit) {
  auto list = ordered_json::array();
  for (const NodeIndex node : largest_objects(look, limit)) {
    ordered_json entry = object_json(look, node);
    entry["where"] = expression_of(*look.snapshot, node);
    list.push_back(std::move(entry));
  }
  return list;
}

ordered_json objects_json(const Look& look) {
  const auto& graph = look.snapshot->graph;
  std::uint64_t bytes = 0, tracked = 0;
  for (std::uint32_t i = 0; i < graph.node_count(); ++i) {
    bytes += graph.bytes(NodeIndex{i});
    tracked += graph.flags(NodeIndex{i}) & kNodeGcTracked;
  }
  return {{"count", graph.node_count()},
          {"bytes", bytes},
          {"gc_tracked", tracked},
          {"rejected", look.snapshot->header.rejected}};
}

}  // namespace

void add_snapshot_head(const snapshot::Header& header, nlohmann::ordered_json& document) {
  document["pid"] = header.process.pid.value;
  document["name"] = header.process_name;
  document["source"] = header.source;
  document["python"] = header.python_version;
  document["time"] = recording::utc_time(header.wall_time);
  document["pause_seconds"] = to_seconds(header.pause);
  document["moved_threads"] = header.moved_threads;
  document["rss_bytes"] = header.rss_bytes;
}

ordered_json heap_json(const Look& look, const HeapReportOptions& options,
                       std::string_view verdict) {
  ordered_json document;
  document["schema"] = "memspy.heap/1";
  add_snapshot_head(look.snapshot->header, document);
  document["objects"] = objects_json(look);
  document["types"] = types_json(look);
  if (options.by != HeapGroup::kType) {
    document["by"] = heap_group_name(options.by);
    document["groups"] = groups_json(look, options);
  }
  document["owners"] = owners_json(look);
  if (options.largest > 0) document["largest"] = largest_json(look, options.largest);
  document["ledger"] = ledger_json(look);
  document["rejected_bytes"] = look.snapshot->header.rejected_bytes;
  document["unexplained_bytes"] = unexplained_bytes(*look.snapshot);
  const auto garbage = find_garbage(look.snapshot->graph, *look.dominators);
  document["garbage"] = {{"count", garbage.count}, {"bytes", garbage.bytes}};
  auto counters = ordered_json::object();
  for (const auto& [name, value] : look.snapshot->header.counters) counters[name] = value;
  document["counters"] = std::move(counters);
  document["verdict"] = verdict;
  return document;
}

}  // namespace memspy::report

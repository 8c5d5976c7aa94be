#include "report/gc_report.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/digits.h"
#include "recording/summary_json.h"
#include "recording/text.h"
#include "report/heap_text.h"
#include "report/text_table.h"
#include "report/why.h"
#include "snapshot/paths.h"

namespace memspy::report {
namespace {

using nlohmann::ordered_json;
using recording::escape_text;
using snapshot::GarbageTotals;
using snapshot::GcSummary;
using snapshot::Look;
using snapshot::Snapshot;

constexpr double kGarbageWorthAWord = 0.01;  // of the heap: garbage that is worth a collection

std::string generations(const GcSummary& gc, const Style& style) {
  TextTable table({{"generation"},
                   {"objects"},
                   {"count"},
                   {"threshold"},
                   {"collections"},
                   {"collected"},
                   {"uncollectable"}});
  for (std::size_t i = 0; i < gc.generations.size(); ++i) {
    const auto& g = gc.generations[i];
    table.add({std::to_string(i), grouped_digits(g.objects), std::to_string(g.count),
               std::to_string(g.threshold), grouped_digits(g.collections),
               grouped_digits(g.collected), grouped_digits(g.uncollectable)});
  }
  std::string text = fmt::format(
      "Interpreter {}: collector {}{}, {} objects frozen, {} in gc.garbage\n", gc.interpreter_id,
      gc.enabled ? "on" : "off", gc.collecting ? ", collecting when it was stopped" : "",
      grouped_digits(gc.frozen), grouped_digits(gc.garbage_list.size()));
  return text + table.render(style) + "\n";
}

// The reference from one object to the next, as written; "" when there is none.
std::string edge_between(const Snapshot& snapshot, NodeIndex from, NodeIndex to) {
  const auto targets = snapshot.graph.targets(from);
  const auto labels = snapshot.graph.labels(from);
  for (std::size_t i = 0; i < targets.size(); ++i)
    if (targets[i] == to.value && !labels[i].weak()) return edge_text(snapshot, labels[i]);
  return "";
}

}  // namespace

std::string cycle_text(const Snapshot& snapshot, const std::vector<NodeIndex>& cycle) {
  std::string text;
  for (std::size_t i = 0; i < cycle.size(); ++i) {
    const NodeIndex next = cycle[(i + 1) % cycle.size()];
    const std::string edge = edge_between(snapshot, cycle[i], next);
    text +=
        fmt::format("{}{}{} → ", escape_text(snapshot.graph.type_name(cycle[i])),
                    edge.empty() || edge[0] == '.' || edge[0] == '[' ? "" : " ", escape_text(edge));
  }
  return text + "the first";
}

std::string gc_verdict(const Look& look, const GarbageTotals& garbage) {
  const auto& gc = look.snapshot->gc;
  const bool off = std::any_of(gc.begin(), gc.end(), [](const GcSummary& g) {
    return !g.enabled || (!g.generations.empty() && g.generations[0].threshold == 0);
  });
  std::size_t kept = 0;
  for (const GcSummary& g : gc) kept += g.garbage_list.size();
  const auto all = static_cast<double>(heap_bytes(look.snapshot->graph));
  const bool much = static_cast<double>(garbage.bytes) > kGarbageWorthAWord * all;
  std::string text;
  if (off) text += "the collector is off: cycles stay until gc.collect() is called; ";
  if (kept > 0)
    text += fmt::format("gc.garbage keeps {} objects alive: empty it; ", grouped_digits(kept));
  if (garbage.frozen_count > 0)
    text += fmt::format("{} of garbage are frozen: gc.unfreeze(), then gc.collect(); ",
                        format_bytes(garbage.frozen_bytes));
  if (garbage.count == 0) return text + "gc.collect() would free nothing";
  text += fmt::format("gc.collect() would free {} in {} objects", format_bytes(garbage.bytes),
                      grouped_digits(garbage.count));
  if (!much) return text + ": not worth calling it";
  if (!garbage.types.empty())
    text += fmt::format(", most of them {}",
                        look.snapshot->graph.types()[garbage.types[0].type.value].name);
  return text;
}

std::string gc_text(const Look& look, const GarbageTotals& garbage, std::size_t limit,
                    const Style& style) {
  const Snapshot& snapshot = *look.snapshot;
  std::string text = bold(style, snapshot_title(snapshot.header)) + "\n\n";
  for (const GcSummary& gc : snapshot.gc) text += generations(gc, style);
  if (snapshot.gc.empty()) text += "The collector's state could not be read.\n\n";
  if (garbage.count > 0) {
    TextTable table({{"count"}, {"bytes"}, {"garbage by type", Align::kLeft}});
    std::size_t shown = 0;
    for (const auto& type : garbage.types) {
      if (limit != 0 && shown++ >= limit) break;
      table.add({grouped_digits(type.count), format_bytes(type.bytes),
                 escape_text(snapshot.graph.types()[type.type.value].name)});
    }
    text += table.render(style);
    if (limit != 0 && garbage.types.size() > limit)
      text += dim(style, fmt::format("and {} more types", garbage.types.size() - limit)) + "\n";
    text += "\n";
    for (const auto& cycle : garbage.cycles)
      if (!cycle.empty()) text += fmt::format("a cycle: {}\n", cycle_text(snapshot, cycle));
    if (!garbage.cycles.empty()) text += "\n";
  }
  if (garbage.frozen_count > 0)
    text += fmt::format(
        "{} more objects ({}) are garbage too, but gc.freeze() has put them where gc.collect() "
        "does "
        "not look: gc.unfreeze() first\n",
        grouped_digits(garbage.frozen_count), format_bytes(garbage.frozen_bytes));
  if (garbage.untracked_count > 0)
    text += fmt::format(
        "{} more objects ({}) no known root leads to, but the collector does not "
        "track them\n",
        grouped_digits(garbage.untracked_count), format_bytes(garbage.untracked_bytes));
  text += heap_caveats(snapshot.header);
  return text + bold(style, escape_text(gc_verdict(look, garbage))) + "\n";
}

std::string gc_json(const Look& look, const GarbageTotals& garbage) {
  const Snapshot& snapshot = *look.snapshot;
  ordered_json document;
  document["schema"] = "memspy.gc/1";
  add_snapshot_head(snapshot.header, document);
  auto interpreters = ordered_json::array();
  for (const GcSummary& gc : snapshot.gc) {
    auto generations = ordered_json::array();
    for (const auto& g : gc.generations)
      generations.push_back({{"objects", g.objects},
                             {"count", g.count},
                             {"threshold", g.threshold},
                             {"collections", g.collections},
                             {"collected", g.collected},
                             {"uncollectable", g.uncollectable}});
    interpreters.push_back({{"interpreter", gc.interpreter_id},
                            {"enabled", gc.enabled},
                            {"collecting", gc.collecting},
                            {"frozen", gc.frozen},
                            {"gc_garbage", gc.garbage_list.size()},
                            {"generations", std::move(generations)}});
  }
  document["interpreters"] = std::move(interpreters);
  auto types = ordered_json::array();
  for (const auto& type : garbage.types)
    types.push_back({{"type", snapshot.graph.types()[type.type.value].name},
                     {"count", type.count},
                     {"bytes", type.bytes}});
  auto cycles = ordered_json::array();
  for (const auto& cycle : garbage.cycles) {
    auto objects = ordered_json::array();
    for (const NodeIndex node : cycle) objects.push_back(object_json(look, node));
    cycles.push_back({{"text", cycle_text(snapshot, cycle)}, {"objects", std::move(objects)}});
  }
  document["garbage"] = {{"count", garbage.count},
                         {"bytes", garbage.bytes},
                         {"types", std::move(types)},
                         {"cycles", std::move(cycles)},
                         {"frozen_count", garbage.frozen_count},
                         {"frozen_bytes", garbage.frozen_bytes},
                         {"untracked_count", garbage.untracked_count},
                         {"untracked_bytes", garbage.untracked_bytes}};
  document["verdict"] = gc_verdict(look, garbage);
  return recording::json_text(document);
}

}  // namespace memspy::report

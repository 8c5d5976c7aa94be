#include "report/heap_text.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/digits.h"
#include "base/duration.h"
#include "recording/text.h"
#include "report/cells.h"
#include "report/text_table.h"
#include "report/why.h"
#include "snapshot/paths.h"

namespace memspy::report {
namespace {

using snapshot::Header;
using snapshot::Look;

std::string head_line(const Look& look, const HeapCensus& census) {
  const Header& header = look.snapshot->header;
  std::string text = fmt::format("Partition of {} objects, {}", grouped_digits(census.objects),
                                 format_bytes(census.bytes));
  if (header.rss_bytes > 0) {
    const std::uint64_t rest = std::min(unexplained_bytes(*look.snapshot), header.rss_bytes);
    text += fmt::format("; process RSS {}", format_bytes(header.rss_bytes));
    if (!look.snapshot->ledger.empty())
      text += fmt::format(", {} explained", percent(static_cast<double>(header.rss_bytes - rest),
                                                    static_cast<double>(header.rss_bytes)));
  }
  if (header.pause.count() > 0) text += fmt::format(", paused {}", format_duration(header.pause));
  return text;
}

std::string partition(const HeapCensus& census, const HeapReportOptions& options) {
  TextTable table({{"#"},
                   {"count"},
                   {"%"},
                   {"bytes"},
                   {"%"},
                   {"cumulative"},
                   {"%"},
                   {"retained"},
                   {std::string(heap_group_name(census.by)), Align::kLeft}});
  std::uint64_t cumulative = 0, left_count = 0, left_bytes = 0;
  const std::size_t shown =
      options.limit == 0 ? census.rows.size() : std::min(options.limit, census.rows.size());
  for (std::size_t i = 0; i < census.rows.size(); ++i) {
    const HeapRow& row = census.rows[i];
    if (i >= shown) {
      left_count += row.count;
      left_bytes += row.bytes;
      continue;
    }
    cumulative += row.bytes;
    table.add({std::to_string(i), grouped_digits(row.count),
               whole_percent(row.count, census.objects), grouped_digits(row.bytes),
               whole_percent(row.bytes, census.bytes), grouped_digits(cumulative),
               whole_percent(cumulative, census.bytes), format_bytes(row.retained),
               recording::escape_text(row.name)});
  }
  std::string text = table.render(options.style);
  if (shown < census.rows.size())
    text += dim(options.style, fmt::format("and {} more: {} objects, {}",
                                           grouped_digits(census.rows.size() - shown),
                                           grouped_digits(left_count), format_bytes(left_bytes))) +
            "\n";
  return text;
}

std::string ledger(const snapshot::Snapshot& snapshot, const Style& style) {
  if (snapshot.ledger.empty()) return "";
  std::uint64_t total = 0;
  TextTable table({{"resident"}, {"%"}, {"what it is", Align::kLeft}});
  for (const auto& row : snapshot.ledger) total += row.bytes;
  for (const auto& row : snapshot.ledger)
    table.add({format_bytes(row.bytes), whole_percent(row.bytes, total),
               recording::escape_text(row.note.empty() ? row.row : row.row + ": " + row.note)});
  return fmt::format("Every byte of RSS, {}:\n", format_bytes(total)) + table.render(style) + "\n";
}

std::string garbage_line(const Look& look) {
  const auto garbage = find_garbage(look.snapshot->graph, *look.dominators);
  if (garbage.count == 0) return "";
  return fmt::format(
      "{} of these objects ({}) are garbage that gc.collect() would free: memspy gc\n",
      grouped_digits(garbage.count), format_bytes(garbage.bytes));
}

// Counters of a file are what the file says.
std::uint64_t whole(double counter) {
  constexpr double kMost = 9e15;
  return counter >= 0 && counter < kMost ? static_cast<std::uint64_t>(counter) : 0;
}

// Pools tell of every block, whoever holds it. Where the allocator is another one, an object is
// found by being on a list or by being referred to.
std::string found_without_pools(const Header& header) {
  double pools = -1, lists = 0, edges = 0;
  for (const auto& [name, value] : header.counters) {
    if (name == "from_pools") pools = value;
    if (name == "from_lists") lists = value;
    if (name == "from_edges") edges = value;
  }
  if (pools != 0 || lists == 0) return "";
  return fmt::format(
      "no pymalloc in this process (PYTHONMALLOC?): {} objects were found on the collector's lists "
      "and "
      "{} by references; one that only native code holds may be missing\n",
      grouped_digits(whole(lists)), grouped_digits(whole(edges)));
}

}  // namespace

std::string address_text(RemoteAddr address) { return fmt::format("{:#x}", address.value); }

std::string snapshot_title(const Header& header) {
  std::string text = header.source;
  if (header.process.pid.value != 0) text = fmt::format("PID {}", header.process.pid.value);
  if (!header.process_name.empty())
    text += fmt::format(" ({})", recording::escape_text(header.process_name));
  text += ", Python " + header.python_version;
  if (header.wall_time.count() > 0) text += ", " + recording::utc_time(header.wall_time);
  return text;
}

std::string object_table(const Look& look, std::span<const NodeIndex> nodes, const Style& style) {
  TextTable table(
      {{"retained"}, {"bytes"}, {"address"}, {"type", Align::kLeft}, {"where", Align::kLeft}});
  const auto& graph = look.snapshot->graph;
  for (const NodeIndex node : nodes)
    table.add({format_bytes(look.dominators->retained[node.value]), format_bytes(graph.bytes(node)),
               address_text(graph.address(node)), recording::escape_text(graph.type_name(node)),
               recording::escape_text(expression_of(*look.snapshot, node))});
  return table.render(style);
}

std::uint64_t unexplained_bytes(const snapshot::Snapshot& snapshot) {
  std::uint64_t sum = 0;
  for (const auto& row : snapshot.ledger)
    if (row.row.starts_with("unexplained")) sum += row.bytes;
  return sum;
}

std::string moved_threads_text(const Header& header) {
  if (header.moved_threads == 0) return "";
  return fmt::format(
      "{} ran while memory was copied: what {} changed meanwhile may be torn\n",
      header.moved_threads == 1 ? "a thread" : fmt::format("{} threads", header.moved_threads),
      header.moved_threads == 1 ? "it" : "they");
}

std::string heap_caveats(const Header& header) {
  std::string text = found_without_pools(header);
  text += moved_threads_text(header);
  if (header.rejected > 0)
    text += fmt::format("{} objects ({}) contradicted themselves and were left out\n",
                        grouped_digits(header.rejected), format_bytes(header.rejected_bytes));
  return text;
}

std::string heap_text(const Look& look, const HeapReportOptions& options,
                      std::string_view verdict) {
  const HeapCensus census = take_heap_census(look, options.by, options.sort);
  const Style& style = options.style;
  std::string text = bold(style, head_line(look, census)) + "\n";
  text += dim(style, snapshot_title(look.snapshot->header)) + "\n";
  text += partition(census, options) + "\n";
  if (options.largest > 0)
    text += "Largest objects by what they retain:\n" +
            object_table(look, largest_objects(look, options.largest), style) + "\n";
  text += ledger(*look.snapshot, style);
  text += garbage_line(look);
  text += heap_caveats(look.snapshot->header);
  return text + bold(style, recording::escape_text(verdict)) + "\n";
}

}  // namespace memspy::report

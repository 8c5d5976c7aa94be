// The census on the screen of `top`: head lines stay, the table is that of the heap.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/byte_units.h"
#include "base/digits.h"
#include "cli/top_census.h"
#include "cli/top_view.h"
#include "recording/text.h"
#include "report/display.h"

namespace memspy::cli {
namespace {

constexpr std::size_t kMostVerdictLines = 5;

// At spaces; a word that is wider than a line is left to the screen.
std::vector<std::string> wrap(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (!line.empty() && report::display_width(line) + 1 + report::display_width(word) > width) {
      lines.push_back(std::move(line));
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    at = end + 1;
  }
  if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

ScreenLine row_line(const CensusRow& row, const TopCensus& census) {
  const bool grew = row.grown_bytes.value_or(0) > 0;
  return {fmt::format("{:>12} {:>6.1f} {:>10} {:>6.1f} {:>10} {:>11}  {}",
                      grouped_digits(row.heap.count), share(row.heap.count, census.objects),
                      format_bytes(row.heap.bytes), share(row.heap.bytes, census.bytes),
                      format_bytes(row.heap.retained),
                      row.grown_bytes ? format_signed_bytes(*row.grown_bytes) : "-",
                      recording::escape_text(row.heap.name)),
          grew ? LineStyle::kHot : LineStyle::kNormal};
}

std::vector<ScreenLine> closing_lines(const TopCensus& census, std::size_t width) {
  std::vector<ScreenLine> lines;
  if (!census.caveats.empty())
    lines.push_back({census.caveats.substr(0, census.caveats.find('\n')), LineStyle::kDim});
  for (std::string& line : wrap(recording::escape_text(census.verdict), width)) {
    if (lines.size() == kMostVerdictLines) break;
    lines.push_back({std::move(line), LineStyle::kTitle});
  }
  return lines;
}

}  // namespace

std::vector<ScreenLine> census_lines(const TopState& state, std::size_t width, std::size_t height) {
  if (state.heap == nullptr) return {{state.census_progress, LineStyle::kDim}};
  const TopCensus& census = *state.heap;
  std::vector<ScreenLine> lines{
      {"heap: " + census.facts, LineStyle::kTitle},
      {fmt::format("{:>12} {:>6} {:>10} {:>6} {:>10} {:>11}  {}", "COUNT", "%", "BYTES", "%",
                   "RETAINED", "GROWN", state.census_by_owner ? "OWNER" : "TYPE"),
       LineStyle::kColumns}};
  const auto closing = closing_lines(census, width);
  const std::size_t around = lines.size() + closing.size() + 1;
  const std::size_t space = height > around ? height - around : 0;
  const auto& rows = state.census_by_owner ? census.owners : census.types;
  const std::size_t from = std::min(state.scroll, rows.empty() ? 0 : rows.size() - 1);
  for (std::size_t i = from; i < rows.size() && i - from < space; ++i)
    lines.push_back(row_line(rows[i], census));
  lines.resize(std::max(lines.size(), 2 + space + 1));
  lines.insert(lines.end(), closing.begin(), closing.end());
  return lines;
}

}  // namespace memspy::cli

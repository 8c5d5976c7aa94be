#include "report/text_table.h"

#include <algorithm>

namespace memspy::report {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastLastColumn = 20;

}  // namespace

std::string TextTable::render(const Style& style) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
    widths.push_back(width);
  }
  std::size_t before_last = 0;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + kGap;
  const std::size_t room = style.width > before_last ? style.width - before_last : 0;
  const std::size_t last_width = std::max(room, kLeastLastColumn);

  const auto line = [&](auto&& cell_of) {
    std::string text;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      std::string cell = cell_of(i);
      if (i + 1 == columns_.size() && style.width > 0)
        cell = clip_middle(cell, last_width, style.ascii);
      if (i > 0) text.append(kGap, ' ');
      text += pad(cell, widths[i], columns_[i].align);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  };
  std::string out = bold(style, line([&](std::size_t i) { return columns_[i].title; })) + "\n";
  for (const auto& row : rows_) out += line([&](std::size_t i) { return row[i]; }) + "\n";
  return out;
}

}  // namespace memspy::report

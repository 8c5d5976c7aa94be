#include "report/display.h"

#include <algorithm>
#include <array>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "recording/text.h"

namespace memspy::report {
namespace {

std::string coloured(const Style& style, const char* code, std::string_view text) {
  if (!style.colour || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

struct Range {
  char32_t first, last;
};
// The ranges that occur in names and paths; not the whole of Unicode's tables.
constexpr std::array kZeroWidth = {Range{0x0300, 0x036f}, Range{0x200b, 0x200f},
                                   Range{0x20d0, 0x20ff}, Range{0xfe00, 0xfe0f},
                                   Range{0xfe20, 0xfe2f}};
constexpr std::array kDoubleWidth = {
    Range{0x1100, 0x115f},   Range{0x2e80, 0x303e},   Range{0x3041, 0x33ff},
    Range{0x3400, 0x4dbf},   Range{0x4e00, 0x9fff},   Range{0xa000, 0xa4cf},
    Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},   Range{0xfe30, 0xfe6f},
    Range{0xff00, 0xff60},   Range{0xffe0, 0xffe6},   Range{0x1f300, 0x1f64f},
    Range{0x1f680, 0x1f6ff}, Range{0x1f900, 0x1f9ff}, Range{0x20000, 0x3fffd}};

bool within(std::span<const Range> ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](const Range& r) { return c >= r.first && c <= r.last; });
}

struct Glyph {
  std::string_view bytes;
  std::size_t width;
};

Glyph glyph_at(std::string_view text, std::size_t at) {
  const std::size_t length = recording::utf8_length(text, at);
  if (length <= 1) return {text.substr(at, 1), 1};
  char32_t c = static_cast<unsigned char>(text[at]) & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    c = (c << 6U) | (static_cast<unsigned char>(text[at + i]) & 0x3fU);
  }
  const std::size_t width = within(kZeroWidth, c) ? 0 : within(kDoubleWidth, c) ? 2 : 1;
  return {text.substr(at, length), width};
}

std::vector<Glyph> glyphs(std::string_view text) {
  std::vector<Glyph> out;
  for (std::size_t at = 0; at < text.size(); at += out.back().bytes.size()) {
    out.push_back(glyph_at(text, at));
  }
  return out;
}

}  // namespace

std::string bold(const Style& style, std::string_view text) { return coloured(style, "1", text); }
std::string dim(const Style& style, std::string_view text) { return coloured(style, "2", text); }
std::string warning(const Style& style, std::string_view text) {
  return coloured(style, "1;31", text);
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (const auto& glyph : glyphs(text)) width += glyph.width;
  return width;
}

std::string pad(std::string_view text, std::size_t width, Align align) {
  const std::size_t taken = display_width(text);
  const std::string blanks(width > taken ? width - taken : 0, ' ');
  return align == Align::kLeft ? std::string(text) + blanks : blanks + std::string(text);
}

std::string clip_middle(std::string_view text, std::size_t width, bool ascii) {
  if (display_width(text) <= width) return std::string(text);
  const std::string_view mark = ascii ? "~" : "…";
  if (width == 0) return {};
  const auto all = glyphs(text);
  const std::size_t head_width = (width - 1) / 2;
  const std::size_t tail_width = width - 1 - head_width;
  std::string head;
  std::string tail;
  std::size_t used = 0;
  for (const auto& glyph : all) {
    if ((used += glyph.width) > head_width) break;
    head += glyph.bytes;
  }
  used = 0;
  for (auto glyph = all.rbegin(); glyph != all.rend(); ++glyph) {
    if ((used += glyph->width) > tail_width) break;
    tail.insert(0, glyph->bytes);
  }
  return head + std::string(mark) + tail;
}

std::string sparkline(std::span<const double> values, std::size_t width, bool ascii) {
  static constexpr std::array<std::string_view, 8> kBlocks = {"▁", "▂", "▃", "▄",
                                                              "▅", "▆", "▇", "█"};
  static constexpr std::array<std::string_view, 8> kAscii = {"_", ".", "-", ":",
                                                             "=", "+", "*", "#"};
  const std::size_t count = std::min(width, values.size());
  if (count == 0) return {};
  std::vector<double> means;
  for (std::size_t i = 0; i < count; ++i) {
    const auto part = values.subspan(i * values.size() / count,
                                     (i + 1) * values.size() / count - i * values.size() / count);
    double sum = 0;
    for (const double value : part) sum += value;
    means.push_back(sum / static_cast<double>(part.size()));
  }
  const auto [low, high] = std::minmax_element(means.begin(), means.end());
  std::string out;
  for (const double mean : means) {
    const double place = *high > *low ? (mean - *low) / (*high - *low) : 0;
    const auto step = std::min<std::size_t>(7, static_cast<std::size_t>(place * 8));
    out += ascii ? kAscii[step] : kBlocks[step];
  }
  return out;
}

std::string percent(double part, double whole) {
  const double share = whole > 0 ? 100 * part / whole : 0;
  if (share <= 0) return "0 %";
  if (share < 0.005) return "<0.01 %";
  if (share < 0.1) return fmt::format("{:.2f} %", share);
  return share < 9.95 ? fmt::format("{:.1f} %", share) : fmt::format("{:.0f} %", share);
}

}  // namespace memspy::report

#include <algorithm>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/digits.h"
#include "recording/text.h"
#include "report/heap_text.h"
#include "report/why.h"

namespace memspy::report {
namespace {

// Pixels. A step is a column, a leaf is a row; a parent stands in the middle of its children.
constexpr int kBoxWidth = 190, kBoxHeight = 36, kColumn = 330, kRow = 50;
constexpr int kMargin = 20, kTitle = 40;
constexpr std::size_t kBoxChars = 28, kEdgeChars = 19;  // that fit, at the font's width

std::string xml(std::string_view text) {
  std::string out;
  for (const char c : recording::escape_text(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

struct Box {
  const WhyNode* node;
  int x = 0, y = 0;
  std::size_t parent = 0;  // index; its own for the roots
};

class Layout {
 public:
  Layout(const Why& why, const WhyStyle& style)
      : style_(style), least_(style.cut * static_cast<double>(why.count)) {
    for (const WhyNode& child : why.tree.children) place(child, 0, kNoParent);
  }
  static constexpr std::size_t kNoParent = static_cast<std::size_t>(-1);

  const std::vector<Box>& boxes() const { return boxes_; }
  int width() const { return kMargin + (columns_ + 1) * kColumn; }
  int height() const { return kTitle + std::max(rows_, 1) * kRow + kMargin; }

 private:
  bool drawn(const WhyNode& node) const { return static_cast<double>(node.count) >= least_; }

  int place(const WhyNode& node, std::size_t depth, std::size_t parent) {
    if (!drawn(node)) return -1;
    const std::size_t index = boxes_.size();
    const int column = static_cast<int>(depth);
    columns_ = std::max(columns_, column);
    boxes_.push_back({&node, kMargin + column * kColumn + (kColumn - kBoxWidth), 0, parent});
    int first = -1, last = -1;
    if (depth + 1 < style_.depth) {
      for (const WhyNode& child : node.children) {
        const int y = place(child, depth + 1, index);
        if (y < 0) continue;
        if (first < 0) first = y;
        last = y;
      }
    }
    boxes_[index].y = first >= 0 ? (first + last) / 2 : kTitle + rows_++ * kRow;
    return boxes_[index].y;
  }

  const WhyStyle& style_;
  double least_;
  std::vector<Box> boxes_;
  int columns_ = 0, rows_ = 0;
};

std::string box_svg(const Box& box, bool leaf) {
  const WhyNode& node = *box.node;
  const std::string count = node.count > 1 ? grouped_digits(node.count) + " × " : "";
  std::string text = fmt::format("<g><title>{}{} {}, {}, retained {}</title>", count,
                                 xml(node.type), node.address ? address_text(node.address) : "",
                                 format_bytes(node.bytes), format_bytes(node.retained));
  text += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"5\" class=\"{}\"/>",
                      box.x, box.y, kBoxWidth, kBoxHeight, leaf ? "box leaf" : "box");
  text += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>", box.x + 8, box.y + 15,
                      xml(clip_middle(count + node.type, kBoxChars, false)));
  text += fmt::format("<text x=\"{}\" y=\"{}\" class=\"small\">retained {}</text></g>\n", box.x + 8,
                      box.y + 29, format_bytes(node.retained));
  return text;
}

std::string edge_svg(const Box& box, const Box* parent) {
  const int y = box.y + kBoxHeight / 2, x = box.x;
  const int from_x = parent != nullptr ? parent->x + kBoxWidth : kMargin;
  const int from_y = parent != nullptr ? parent->y + kBoxHeight / 2 : y;
  // Straight at the end, where the name of the edge stands.
  const int bend = from_x + 16;
  std::string text = fmt::format("<path d=\"M{} {} C{} {} {} {} {} {} H{}\" class=\"edge\"/>",
                                 from_x, from_y, bend, from_y, from_x, y, bend, y, x - 1);
  text +=
      fmt::format("<text x=\"{}\" y=\"{}\" class=\"name\">{}<title>{}</title></text>\n", bend + 2,
                  y - 4, xml(clip_middle(box.node->edge, kEdgeChars, false)), xml(box.node->edge));
  return text;
}

}  // namespace

std::string why_svg(const Why& why, const WhyStyle& style) {
  const Layout layout(why, style);
  std::vector<bool> leaf(layout.boxes().size(), true);
  for (const Box& box : layout.boxes())
    if (box.parent != Layout::kNoParent) leaf[box.parent] = false;
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\">\n<style>"
      "text{{font:12px monospace;fill:#222}}.small{{font-size:10px;fill:#666}}"
      ".name{{font-size:11px;fill:#8a3b12}}.title{{font-size:14px;font-weight:bold}}"
      ".box{{fill:#f5f5f0;stroke:#999}}.leaf{{fill:#f4d58d}}.edge{{fill:none;stroke:#999}}"
      "</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      layout.width(), layout.height());
  text +=
      fmt::format("<text x=\"{}\" y=\"24\" class=\"title\">{}: {}, retained {}</text>\n", kMargin,
                  xml(why.subject), format_bytes(why.bytes), format_bytes(why.retained));
  for (std::size_t i = 0; i < layout.boxes().size(); ++i) {
    const Box& box = layout.boxes()[i];
    text += edge_svg(box, box.parent == Layout::kNoParent ? nullptr : &layout.boxes()[box.parent]);
    text += box_svg(box, leaf[i]);
  }
  return text + "</svg>\n";
}

}  // namespace memspy::report

#include "sinks/flame_svg.h"

#include <algorithm>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "recording/text.h"
#include "sinks/flame_svg_script.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

// Pixels, as the file is drawn before a window gives it another width.
constexpr double kWidth = 1200, kSide = 10, kLeast = 0.2;
constexpr double kCharacter = 6.6;  // of the font, at its size
constexpr int kRow = 18, kHead = 64, kFoot = 28;
constexpr std::size_t kDeepestDrawn = 512;

struct Node {
  std::uint32_t frame = 0;
  std::uint64_t amount = 0;
  std::vector<Node> below;
};

// Text for an XML document: control characters are escaped, and the two characters of the basic
// plane that XML has not are replaced.
std::string xml(std::string_view text) {
  std::string out;
  const std::string clean = recording::escape_text(text);
  for (std::size_t i = 0; i < clean.size(); ++i) {
    const char c = clean[i];
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (clean.compare(i, 3, "\xef\xbf\xbe") == 0 ||
               clean.compare(i, 3, "\xef\xbf\xbf") == 0) {
      out += "\xef\xbf\xbd";
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

std::uint32_t hash(std::string_view text) {
  std::uint32_t sum = 2166136261U;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 16777619U;
  return sum;
}

// Warm for code, grey for what is none; one hue for a file, a shade for each name in it.
std::string colour(const std::string& name, const std::string& group) {
  if (group.empty()) return "hsl(0,0%,78%)";
  const std::uint32_t hue = hash(group), shade = hash(name);
  return fmt::format("hsl({},{}%,{}%)", 8 + hue % 50, 68 + shade % 20, 62 + shade / 20 % 12);
}

// What fits is found again by the script when the width changes.
std::string clipped(const std::string& name, double width) {
  const auto fits = static_cast<std::size_t>(std::max(0.0, (width - 6) / kCharacter));
  if (fits < 3) return {};
  std::size_t at = 0, count = 0;
  while (at < name.size() && count < fits) {
    at += std::max<std::size_t>(1, recording::utf8_length(name, at));
    ++count;
  }
  if (at >= name.size()) return name;
  at = count = 0;
  while (count + 1 < fits) {
    at += std::max<std::size_t>(1, recording::utf8_length(name, at));
    ++count;
  }
  return name.substr(0, at) + "…";
}

class Drawing {
 public:
  Drawing(const FlameInput& input, std::ostream& out) : input_(input), out_(out) {
    // In the order of their frames: a frame that is known is the last one below its caller.
    std::vector<const FlameInput::Stack*> order;
    for (const auto& stack : input.stacks) order.push_back(&stack);
    std::stable_sort(order.begin(), order.end(),
                     [](const auto* a, const auto* b) { return *a->frames < *b->frames; });
    for (const auto* stack : order) add(*stack);
    sort(root_);
  }

  void draw() {
    const std::size_t levels = depth(root_);
    height_ = static_cast<int>(levels) * kRow + kHead + kFoot;
    // Children that are too narrow are known only when they are passed over.
    std::string body;
    draw_node(root_, kSide, 0, body);
    head();
    out_ << body << "</g>\n";
    const std::string note = what_is_missing();
    if (!note.empty())
      out_ << fmt::format("<text class=\"note\" x=\"10\" y=\"{}\">{}</text>\n", height_ - 8, note);
    out_ << "<script><![CDATA[\n" << kFlameScript << "]]></script>\n</svg>\n";
  }

 private:
  void add(const FlameInput::Stack& stack) {
    Node* node = &root_;
    node->amount += stack.amount;
    if (stack.frames->size() > kDeepestDrawn) ++cut_;
    const std::size_t depth = std::min(stack.frames->size(), kDeepestDrawn);
    for (std::size_t i = 0; i < depth; ++i) {
      const std::uint32_t frame = (*stack.frames)[i];
      auto& below = node->below;
      if (below.empty() || below.back().frame != frame) below.push_back({frame, 0, {}});
      node = &below.back();
      node->amount += stack.amount;
    }
  }

  std::string what_is_missing() const {
    std::string note;
    if (left_out_ > 0)
      note = recording::format_amount(input_.measure, left_out_) +
             " in frames that are too narrow to be drawn";
    if (cut_ > 0)
      note +=
          fmt::format("{}{} deeper than {} frames, and cut there", note.empty() ? "" : "; ",
                      cut_ == 1 ? "1 stack is" : fmt::format("{} stacks are", cut_), kDeepestDrawn);
    return note;
  }

  void sort(Node& node) {
    std::sort(node.below.begin(), node.below.end(), [&](const Node& a, const Node& b) {
      return input_.names[a.frame] < input_.names[b.frame];
    });
    for (Node& child : node.below) sort(child);
  }

  std::size_t depth(const Node& node) const {
    std::size_t deepest = 0;
    for (const Node& child : node.below)
      if (width(child.amount) >= kLeast) deepest = std::max(deepest, depth(child));
    return deepest + 1;
  }

  double width(std::uint64_t amount) const {
    if (root_.amount == 0) return kWidth - 2 * kSide;
    return static_cast<double>(amount) / static_cast<double>(root_.amount) * (kWidth - 2 * kSide);
  }

  void draw_node(const Node& node, double left, int level, std::string& body) {
    const double wide = width(node.amount);
    const bool all = &node == &root_;
    const std::string name = all ? "all" : input_.names[node.frame];
    const std::string group = all ? "" : input_.groups[node.frame];
    const int top = height_ - kFoot - (level + 1) * kRow;
    const double share = root_.amount == 0 ? 100
                                           : 100 * static_cast<double>(node.amount) /
                                                 static_cast<double>(root_.amount);
    body += fmt::format(
        "<g class=\"f\" tabindex=\"-1\"><title>{}: {}, {:.2f} %</title><rect x=\"{:.2f}\" y=\"{}\" "
        "width=\"{:.2f}\" height=\"{}\" rx=\"1\" fill=\"{}\"/>",
        xml(name), recording::format_amount(input_.measure, node.amount), share, left, top, wide,
        kRow - 1, colour(name, group));
    body += fmt::format("<text x=\"{:.2f}\" y=\"{}\">{}</text></g>\n", left + 3, top + kRow - 5,
                        xml(clipped(recording::escape_text(name), wide)));
    double at = left;
    for (const Node& child : node.below) {
      if (width(child.amount) >= kLeast) {
        draw_node(child, at, level + 1, body);
      } else {
        left_out_ += child.amount;
      }
      at += width(child.amount);
    }
  }

  void head() {
    out_ << fmt::format(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1}\" width=\"{0:.0f}\" "
        "height=\"{1}\" style=\"max-width:100%;height:auto\">\n<style>\n{2}</style>\n"
        "<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n"
        "<text class=\"title\" x=\"10\" y=\"24\">{3}</text>\n"
        "<text class=\"note\" x=\"10\" y=\"44\">{4}</text>\n"
        "<g id=\"tools\" style=\"display:none\">"
        "<text class=\"tool\" id=\"reset\" tabindex=\"0\" x=\"1010\" y=\"24\">Reset zoom</text>"
        "<text class=\"tool\" id=\"search\" tabindex=\"0\" x=\"1190\" y=\"24\" "
        "text-anchor=\"end\">Search</text></g>\n"
        "<text class=\"note\" id=\"matched\" x=\"1190\" y=\"44\" text-anchor=\"end\"></text>\n"
        "<g id=\"frames\">\n",
        kWidth, height_, kFlameStyle, xml(input_.title), xml(input_.subtitle));
  }

  const FlameInput& input_;
  std::ostream& out_;
  Node root_;
  int height_ = 0;
  std::uint64_t left_out_ = 0;
  std::size_t cut_ = 0;  // stacks
};

}  // namespace

Result<Unit> write_flame_svg(const FlameInput& input, std::ostream& out) {
  Drawing(input, out).draw();
  out.flush();
  return check_stream(out);
}

}  // namespace memspy::sinks

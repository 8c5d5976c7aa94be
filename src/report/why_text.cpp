#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/digits.h"
#include "recording/summary_json.h"
#include "recording/text.h"
#include "report/heap_text.h"
#include "report/text_table.h"
#include "report/why.h"

namespace memspy::report {
namespace {

using nlohmann::ordered_json;
using recording::escape_text;
using snapshot::Look;
using snapshot::Path;

constexpr std::size_t kShownEnds = 20;  // steps at either end of a long path

std::string path_table(const Look& look, const Path& path, const Style& style) {
  TextTable table({{"retained"},
                   {"bytes"},
                   {"path", Align::kLeft},
                   {"type", Align::kLeft},
                   {"address", Align::kLeft}});
  const auto& graph = look.snapshot->graph;
  std::string indent;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto& [edge, node] = path[i];
    if (path.size() > 2 * kShownEnds + 1 && i >= kShownEnds && i + kShownEnds < path.size()) {
      if (i == kShownEnds)
        table.add(
            {"", "", fmt::format("  … {} more steps …", path.size() - 2 * kShownEnds), "", ""});
      continue;
    }
    table.add({format_bytes(look.dominators->retained[node.value]), format_bytes(graph.bytes(node)),
               indent + (edge.empty() ? "." : escape_text(edge)),
               escape_text(graph.type_name(node)), address_text(graph.address(node))});
    if (indent.empty()) indent = "  ";
  }
  return table.render(style);
}

std::string paths_text(const Look& look, const Why& why, const Style& style) {
  if (why.paths.empty())
    return "nothing that is alive leads to it: garbage, which gc.collect() would free\n";
  std::string text;
  for (std::size_t i = 0; i < why.paths.size(); ++i) {
    if (i > 0) text += "\n";
    text += bold(style, escape_text(expression(why.paths[i]))) + "\n";
    text += path_table(look, why.paths[i], style);
  }
  return text;
}

class TreeLines {
 public:
  TreeLines(const Why& why, const WhyStyle& style)
      : style_(style), total_(static_cast<double>(why.count)) {}

  std::string render(const WhyNode& root) {
    children(root, "", 0);
    return std::move(out_);
  }

 private:
  void line(const std::string& prefix, std::uint64_t count, const std::string& bytes,
            const std::string& label) {
    std::string text = fmt::format("{:>11}  {:>6}  {:>9}  {}", grouped_digits(count),
                                   percent(static_cast<double>(count), total_), bytes, prefix);
    const std::size_t taken = display_width(text);
    const std::size_t width = style_.style.width;
    text += width == 0 ? label
                       : clip_middle(label, std::max<std::size_t>(width, taken + 20) - taken,
                                     style_.style.ascii);
    out_ += text + "\n";
  }

  static std::string label(const WhyNode& node) {
    const std::string edge = escape_text(node.edge.empty() ? "." : node.edge);
    return node.type.empty() ? edge : edge + "  " + escape_text(node.type);
  }

  // Bounded by `depth`, which is ours; what lies deeper is counted.
  void children(const WhyNode& node, const std::string& prefix, std::size_t depth) {
    std::vector<const WhyNode*> shown;
    std::uint64_t cut = 0;
    for (const WhyNode& child : node.children) {
      const bool wide = static_cast<double>(child.count) >= style_.cut * total_;
      if (wide && depth < style_.depth) shown.push_back(&child);
      if (!wide || depth >= style_.depth) cut += child.count;
    }
    const bool ascii = style_.style.ascii;
    for (const WhyNode* child : shown) {
      const bool last = child == shown.back() && cut == 0;
      line(prefix + (last ? (ascii ? "`- " : "└─ ") : (ascii ? "|- " : "├─ ")), child->count,
           format_bytes(child->retained), label(*child));
      branch(*child, prefix + (last ? "   " : (ascii ? "|  " : "│  ")), depth + 1);
    }
    if (cut > 0)
      line(prefix + (ascii ? "`- " : "└─ "), cut, "",
           depth < style_.depth ? fmt::format("by paths below {}", percent(style_.cut, 1))
                                : "deeper");
  }

  // A chain of single steps stays in its column: the indentation shows where paths part.
  void branch(const WhyNode& from, const std::string& prefix, std::size_t depth) {
    const WhyNode* node = &from;
    while (node->children.size() == 1 && node->children[0].count == node->count &&
           depth < style_.depth) {
      node = node->children.data();
      line(prefix, node->count, format_bytes(node->retained), label(*node));
      ++depth;
    }
    children(*node, prefix, depth);
  }

  const WhyStyle& style_;
  double total_;
  std::string out_;
};

ordered_json tree_json(const WhyNode& node) {
  ordered_json out{{"edge", node.edge},
                   {"type", node.type},
                   {"count", node.count},
                   {"bytes", node.bytes},
                   {"retained_bytes", node.retained}};
  auto children = ordered_json::array();
  for (const WhyNode& child : node.children) children.push_back(tree_json(child));
  out["children"] = std::move(children);
  return out;
}

ordered_json path_json(const Look& look, const Path& path) {
  auto steps = ordered_json::array();
  for (const auto& [edge, node] : path) {
    ordered_json step{{"edge", edge}};
    step.update(object_json(look, node));
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace

ordered_json object_json(const Look& look, NodeIndex node) {
  const auto& graph = look.snapshot->graph;
  return {{"type", graph.type_name(node)},
          {"address", address_text(graph.address(node))},
          {"bytes", graph.bytes(node)},
          {"retained_bytes", look.dominators->retained[node.value]}};
}

std::string why_text(const Look& look, const Why& why, const WhyStyle& style) {
  std::string text =
      bold(style.style,
           fmt::format("{}: {}, {} {}", escape_text(why.subject), format_bytes(why.bytes),
                       why.count > 1 ? "retain" : "retains", format_bytes(why.retained))) +
      "\n";
  text += dim(style.style, snapshot_title(look.snapshot->header)) + "\n\n";
  if (why.count == 1) return text + paths_text(look, why, style.style);
  text += fmt::format("{:>11}  {:>6}  {:>9}  {}\n", "count", "%", "retained", "path");
  text += TreeLines(why, style).render(why.tree);
  text += "\nThe one that retains most:\n";
  return text + paths_text(look, why, style.style);
}

std::string why_json(const Look& look, const Why& why) {
  ordered_json document;
  document["schema"] = "memspy.why/1";
  add_snapshot_head(look.snapshot->header, document);
  document["object"] = object_json(look, why.example);
  document["instances"] = {
      {"count", why.count}, {"bytes", why.bytes}, {"retained_bytes", why.retained}};
  auto paths = ordered_json::array();
  for (const Path& path : why.paths) paths.push_back(path_json(look, path));
  document["paths"] = std::move(paths);
  document["tree"] = tree_json(why.tree);
  return recording::json_text(document);
}

}  // namespace memspy::report

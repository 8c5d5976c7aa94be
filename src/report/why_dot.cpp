#include <algorithm>
#include <map>
#include <set>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/digits.h"
#include "recording/text.h"
#include "report/heap_text.h"
#include "report/why.h"

namespace memspy::report {
namespace {

// In double quotes only these two mean anything; "\n" after it is our own line break.
std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : recording::escape_text(text, "\\")) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + "\"";
}

class DotWriter {
 public:
  DotWriter(const Why& why, const WhyStyle& style)
      : why_(why), style_(style), total_(static_cast<double>(why.count)) {}

  std::string render() {
    out_ = "digraph why {\n  rankdir=LR;\n  label=" + quote(why_.subject) +
           ";\n  labelloc=t;\n"
           "  node [shape=box, fontname=\"sans-serif\", fontsize=10, style=\"rounded,filled\", "
           "fillcolor=\"#f5f5f0\"];\n"
           "  edge [fontname=\"monospace\", fontsize=9];\n"
           "  roots [shape=point];\n";
    children(why_.tree, "roots", 0);
    return out_ + "}\n";
  }

 private:
  // An object is one node however many paths run through it; merged ones are nodes of the tree.
  std::string id_of(const WhyNode& node) {
    if (node.address) return fmt::format("o{:x}", node.address.value);
    return fmt::format("n{}", ++counter_);
  }

  void declare(const WhyNode& node, const std::string& id) {
    if (!declared_.insert(id).second) return;
    const std::string count = node.count > 1 ? grouped_digits(node.count) + " × " : "";
    std::string label = quote(count + node.type);
    label.pop_back();
    label += fmt::format("\\nretained {}\"", format_bytes(node.retained));
    const bool asked = node.address && why_.example != kNoNode && node.children.empty();
    out_ += fmt::format("  {} [label={}{}];\n", id, label, asked ? ", fillcolor=\"#f4d58d\"" : "");
  }

  void children(const WhyNode& from, const std::string& from_id, std::size_t depth) {
    if (depth >= style_.depth) return;
    for (const WhyNode& child : from.children) {
      if (static_cast<double>(child.count) < style_.cut * total_) continue;
      const std::string id = id_of(child);
      declare(child, id);
      const std::string edge =
          fmt::format("  {} -> {} [label={}];\n", from_id, id, quote(child.edge));
      if (edges_.insert(edge).second) out_ += edge;
      children(child, id, depth + 1);
    }
  }

  const Why& why_;
  const WhyStyle& style_;
  double total_;
  std::size_t counter_ = 0;
  std::set<std::string> declared_, edges_;
  std::string out_;
};

}  // namespace

std::string why_dot(const Why& why, const WhyStyle& style) {
  return DotWriter(why, style).render();
}

}  // namespace memspy::report

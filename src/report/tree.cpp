#include <algorithm>
#include <map>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "recording/text.h"
#include "report/report.h"

namespace memspy::report {
namespace {

// Nodes by index, not nested: a target's recursion may be deeper than our own stack.
struct Node {
  std::uint64_t bytes = 0;
  std::map<std::uint32_t, std::size_t> children;  // frame -> node
};
using Tree = std::vector<Node>;  // the root first

Tree build(const recording::ShapedProfile& shaped) {
  Tree tree(1);
  for (const auto& stack : shaped.stacks) {
    tree[0].bytes += stack.amount;
    std::size_t at = 0;
    for (const auto frame : stack.frames) {
      const auto [child, fresh] = tree[at].children.try_emplace(frame, tree.size());
      at = child->second;
      if (fresh) tree.emplace_back();
      tree[at].bytes += stack.amount;
    }
  }
  return tree;
}

class TreeText {
 public:
  TreeText(const recording::ShapedProfile& shaped, const ReportOptions& options)
      : shaped_(shaped), options_(options), tree_(build(shaped)) {}

  std::string render() {
    total_ = static_cast<double>(tree_[0].bytes);
    line("", tree_[0].bytes,
         recording::word_of(shaped_.measure, "all growth", "all allocating", "all temporaries"));
    std::vector<Pending> todo;
    push_children(tree_[0], "", todo);
    while (!todo.empty()) {
      const Pending next = std::move(todo.back());
      todo.pop_back();
      branch(next, todo);
    }
    return out_;
  }

 private:
  // A place in the tree still to be printed.
  struct Pending {
    std::size_t node = 0;
    std::uint32_t frame = 0;
    std::string prefix;
    bool last = false;
    std::size_t cut_count = 0;  // > 0: not a node, but what was left out here
    std::uint64_t cut_bytes = 0;
  };

  void line(const std::string& prefix, std::uint64_t bytes, const std::string& label) {
    std::string text =
        fmt::format("{:>9}  {:>6}  {}", recording::format_amount(shaped_.measure, bytes),
                    percent(static_cast<double>(bytes), total_), prefix);
    const std::size_t taken = display_width(text);
    const std::size_t width = options_.style.width;
    const std::string name = recording::escape_text(label);
    text += width == 0 ? name
                       : clip_middle(name, std::max<std::size_t>(width, taken + 20) - taken,
                                     options_.style.ascii);
    out_ += text + "\n";
  }

  void branch(const Pending& at, std::vector<Pending>& todo) {
    const bool ascii = options_.style.ascii;
    const std::string own =
        at.prefix + (at.last ? (ascii ? "`- " : "└─ ") : (ascii ? "|- " : "├─ "));
    if (at.cut_count > 0) {
      line(own, at.cut_bytes,
           fmt::format("{} more below {}", at.cut_count, percent(options_.tree_cut, 1)));
      return;
    }
    const std::string below = at.prefix + (at.last ? "   " : (ascii ? "|  " : "│  "));
    const Node* node = &tree_[at.node];
    line(own, node->bytes, shaped_.frames[at.frame].text);
    // A chain of single calls stays in its column: the indentation shows where paths part.
    while (node->children.size() == 1) {
      const auto [frame, child] = *node->children.begin();
      if (tree_[child].bytes != node->bytes) break;
      node = &tree_[child];
      line(below, node->bytes, shaped_.frames[frame].text);
    }
    push_children(*node, below, todo);
  }

  // In reverse: the last one of `todo` is printed next.
  void push_children(const Node& node, const std::string& prefix,
                     std::vector<Pending>& todo) const {
    std::vector<Pending> shown;
    Pending cut;
    cut.prefix = prefix;
    for (const auto& [frame, child] : node.children) {
      if (static_cast<double>(tree_[child].bytes) < options_.tree_cut * total_) {
        ++cut.cut_count;
        cut.cut_bytes += tree_[child].bytes;
      } else {
        Pending next;
        next.node = child;
        next.frame = frame;
        next.prefix = prefix;
        shown.push_back(std::move(next));
      }
    }
    std::stable_sort(shown.begin(), shown.end(), [this](const Pending& a, const Pending& b) {
      return tree_[a.node].bytes > tree_[b.node].bytes;
    });
    if (cut.cut_count > 0) shown.push_back(cut);
    if (!shown.empty()) shown.back().last = true;
    todo.insert(todo.end(), std::make_move_iterator(shown.rbegin()),
                std::make_move_iterator(shown.rend()));
  }

  const recording::ShapedProfile& shaped_;
  const ReportOptions& options_;
  Tree tree_;
  double total_ = 0;
  std::string out_;
};

}  // namespace

std::string report_tree(const recording::Profile& profile, const ReportOptions& options) {
  const auto shaped = recording::shape_stacks(profile, options.shape, options.amount);
  std::string text = report_head(profile, options);
  text += TreeText(shaped, options).render();
  return text + report_foot(profile, options);
}

}  // namespace memspy::report

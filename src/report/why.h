// Why an object, or all instances of a type, are alive: the model, and its texts, graph and
// picture.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "memspy/result.h"
#include "report/display.h"
#include "snapshot/diff.h"
#include "snapshot/paths.h"

namespace memspy::report {

// A step of one path or of many that were merged; paths part at its children.
struct WhyNode {
  std::string edge;  // as typed: "app", ".CACHE", "['k']", "[*]"
  std::string type;
  RemoteAddr address;       // 0: merged over several objects
  std::uint64_t count = 0;  // of the objects asked for, below it or it itself
  std::uint64_t bytes = 0, retained = 0;
  std::vector<WhyNode> children;
};

struct Why {
  std::string subject;  // "app.Rec at 0x7f…", "700 000 app.Rec"
  std::uint64_t count = 0, bytes = 0, retained = 0;
  NodeIndex example = kNoNode;        // asked for; of many the one that retains most
  std::vector<snapshot::Path> paths;  // of the example, shortest first; none: garbage
  WhyNode tree;                       // over all; its root is no object
};

// Adds the texts of keys to the look's snapshot; may do nothing.
using ReadTexts = std::function<void(std::span<const NodeIndex>)>;

Why explain_object(const snapshot::Look& look, NodeIndex node, std::size_t path_limit,
                   const ReadTexts& read_texts);
// At least one object. `subject`: what they are ("app.Rec", "largest objects").
Why explain_objects(const snapshot::Look& look, std::span<const NodeIndex> nodes,
                    const std::string& subject, std::size_t path_limit,
                    const ReadTexts& read_texts);

// Types by their whole name ("app.Rec"), or by its end ("Rec") where only one name ends so.
// kInternal: none, or several; the text names candidates.
Result<std::vector<TypeIndex>> find_types(const snapshot::ObjectGraph& graph,
                                          std::string_view name);
std::vector<NodeIndex> instances_of(const snapshot::ObjectGraph& graph,
                                    std::span<const TypeIndex> types);

// The objects whose texts the edges of these paths want: keys of dicts.
std::vector<NodeIndex> keys_on_paths(const snapshot::ObjectGraph& graph,
                                     std::span<const snapshot::Path> paths);

// What one would type to get there: `app.CACHE['k'].rows[3]`; "garbage" when nothing leads there.
std::string expression(const snapshot::Path& path);
std::string expression_of(const snapshot::Snapshot& snapshot, NodeIndex node);

struct WhyStyle {
  Style style;
  double cut = 0.01;       // shares of the count below are summed up
  std::size_t depth = 30;  // steps from the root
};
std::string why_text(const snapshot::Look& look, const Why& why, const WhyStyle& style);
// Schema "memspy.why/1".
std::string why_json(const snapshot::Look& look, const Why& why);
// A graph for Graphviz: an object that several paths share is drawn once.
std::string why_dot(const Why& why, const WhyStyle& style);
// The tree as a picture that needs nothing else.
std::string why_svg(const Why& why, const WhyStyle& style);

// {"address", "type", "bytes", "retained_bytes"}
nlohmann::ordered_json object_json(const snapshot::Look& look, NodeIndex node);

}  // namespace memspy::report

// .heapsnapshot, as V8 writes it and Chrome DevTools, VS Code and memlab read it. The reader goes
// forward through the keys, takes digits only, and believes the counts: docs/formats.md.
#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "recording/text.h"
#include "sinks/heapsnapshot_plan.h"
#include "sinks/snapshot_formats.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

using snapshot::EdgeLabel;
using snapshot::Look;
using snapshot::ObjectGraph;

constexpr std::string_view kMeta =
    R"({"node_fields":["type","name","id","self_size","edge_count","trace_node_id","detachedness"],)"
    R"("node_types":[["hidden","array","string","object","code","closure","regexp","number","native",)"
    R"("synthetic","concatenated string","sliced string","symbol","bigint","object shape"],)"
    R"("string","number","number","number","number","number"],)"
    R"("edge_fields":["type","name_or_index","to_node"],)"
    R"("edge_types":[["context","element","property","internal","hidden","shortcut","weak"],)"
    R"("string_or_number","node"],)"
    R"("trace_function_info_fields":["function_id","name","script_name","script_id","line","column"],)"
    R"("trace_node_fields":["id","function_info_index","count","size","children"],)"
    R"("sample_fields":["timestamp_us","last_assigned_id"],)"
    R"("location_fields":["object_index","script_id","line","column"]})";
constexpr std::uint64_t kNodeFields = 7;
constexpr std::uint64_t kFirstObject = 1 + kV8Groups.size();  // behind the root and the groups

// Numbers by the hundred million: an ostream's own formatting would be most of the time.
class DigitWriter {
 public:
  explicit DigitWriter(std::ostream& out) : out_(out) { buffer_.reserve(kFull + 64); }
  ~DigitWriter() { flush(); }
  DigitWriter(const DigitWriter&) = delete;
  DigitWriter& operator=(const DigitWriter&) = delete;

  void text(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() >= kFull) flush();
  }
  // A record on a line of its own: "1,2,3" behind a comma unless it is the first of its list.
  void record(std::span<const std::uint64_t> fields) {
    if (!first_) buffer_ += ',';
    first_ = false;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i > 0) buffer_ += ',';
      std::array<char, 20> digits{};
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), fields[i]).ptr;
      buffer_.append(digits.data(), end);
    }
    buffer_ += '\n';
    if (buffer_.size() >= kFull) flush();
  }
  void begin_list() { first_ = true; }
  void flush() {
    out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    buffer_.clear();
  }

 private:
  static constexpr std::size_t kFull = 1 << 16;
  std::ostream& out_;
  std::string buffer_;
  bool first_ = true;
};

// The table that names refer to by number, each text once: a reader that compares numbers takes two
// of one text for two names. Written last.
class StringTable {
 public:
  StringTable() { add("<dummy>"); }
  std::uint64_t add(std::string_view text) {
    std::string escaped = recording::escape_text(text);  // different names may look alike
    const auto known = numbers_.find(escaped);
    if (known != numbers_.end()) return known->second;
    const std::uint64_t number = add_only(std::move(escaped));
    numbers_.emplace(all_.back(), number);
    return number;
  }
  // A plain text that is the only one of its kind, as the caller knows: made of an address.
  std::uint64_t add_only(std::string text) {
    all_.push_back(std::move(text));
    return all_.size() - 1;
  }
  void write(DigitWriter& out) const {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      out.text(i == 0 ? "\"" : ",\n\"");
      // Valid UTF-8 without control characters: what is left is JSON's own.
      std::string text;
      for (const char c : all_[i]) {
        if (c == '"' || c == '\\') text += '\\';
        text += c;
      }
      out.text(text);
      out.text("\"");
    }
  }

 private:
  std::deque<std::string> all_;  // whose texts stay where they are
  std::unordered_map<std::string_view, std::uint64_t> numbers_;
};

// `'k'` of a snapshot's texts as the name of a property: k.
std::string unquoted(const std::string& text) {
  const bool quoted = text.size() >= 2 && (text.front() == '\'' || text.front() == '"') &&
                      text.back() == text.front();
  return quoted ? text.substr(1, text.size() - 2) : text;
}

class HeapSnapshotWriter {
 public:
  HeapSnapshotWriter(const Look& look, std::ostream& out)
      : look_(look),
        snapshot_(*look.snapshot),
        graph_(look.snapshot->graph),
        out_(out),
        ids_(graph_.node_count()),
        first_alike_(first_alike(snapshot_.string_marks)),
        marked_names_(first_alike_.size()) {}
  void write();

 private:
  struct Reference {
    V8Edge type;
    std::uint64_t name;  // a string, or an index
  };
  void collect_roots();
  void count();
  void write_nodes();
  void write_object(NodeIndex node);
  void write_rest_nodes();
  void write_edges();
  void write_object_edges(NodeIndex node);
  Reference reference(EdgeLabel label);
  std::uint64_t name_string(std::uint32_t name);
  std::uint64_t key_string(std::uint32_t key);
  std::uint64_t object_name(NodeIndex node);
  const snapshot::StringMark* find_mark(NodeIndex node);
  std::uint64_t string_name(NodeIndex node);
  std::uint64_t place_of(std::uint64_t node) const { return (kFirstObject + node) * kNodeFields; }
  std::uint64_t edges_of(NodeIndex node) const;
  void edge(V8Edge type, std::uint64_t name, std::uint64_t to_node) {
    const std::array fields{static_cast<std::uint64_t>(type), name, to_node};
    out_.record(fields);
  }

  const Look& look_;
  const snapshot::Snapshot& snapshot_;
  const ObjectGraph& graph_;
  DigitWriter out_;
  V8Ids ids_;
  StringTable strings_;
  std::vector<std::pair<std::uint64_t, NodeIndex>> modules_;  // name, module
  std::array<std::vector<NodeIndex>, kV8Groups.size()> groups_;
  std::vector<NodeIndex> split_;  // objects whose size does not fit
  std::vector<V8Node> type_nodes_;
  std::vector<std::uint64_t> type_names_, name_strings_;
  std::unordered_map<std::uint32_t, std::uint64_t> key_strings_;
  std::vector<std::uint32_t> first_alike_;   // by mark
  std::vector<std::uint64_t> marked_names_;  // by mark that is the first of its like; 0: none yet
  std::size_t next_mark_ = 0;
  std::uint64_t nodes_ = 0, edges_ = 0, rest_string_ = 0, unknown_key_ = 0;
};

void HeapSnapshotWriter::collect_roots() {
  for (const HeapType& type : graph_.types()) {
    type_nodes_.push_back(v8_node_of(type.name));
    type_names_.push_back(strings_.add(v8_class_name(type.name)));
  }
  rest_string_ = strings_.add("rest");
  unknown_key_ = strings_.add("[key]");
  for (const HeapRoot& root : graph_.roots()) {
    if (root.to.value >= graph_.node_count()) continue;
    if (root.kind == RootKind::kModule) {
      modules_.emplace_back(name_string(root.name.value), root.to);
    } else {
      groups_[static_cast<std::size_t>(group_of(root.kind))].push_back(root.to);
    }
  }
  const auto& [idom, retained, garbage] = *look_.dominators;
  auto& lost = groups_[static_cast<std::size_t>(V8Group::kGarbage)];
  for (std::uint32_t i = 0; i < garbage.size(); ++i)
    if (garbage[i] != 0 && idom[i] == kNoNode.value) lost.push_back(NodeIndex{i});
}

std::uint64_t HeapSnapshotWriter::edges_of(NodeIndex node) const {
  std::uint64_t edges = v8_rest_nodes(graph_.bytes(node));
  for (const std::uint32_t to : graph_.targets(node)) edges += to < graph_.node_count() ? 1 : 0;
  return edges;
}

void HeapSnapshotWriter::count() {
  nodes_ = kFirstObject + graph_.node_count() + 1;
  edges_ = modules_.size() + groups_.size() + 1;
  for (const auto& group : groups_) edges_ += group.size();
  for (std::uint32_t i = 0; i < graph_.node_count(); ++i) {
    const std::uint64_t rest = v8_rest_nodes(graph_.bytes(NodeIndex{i}));
    if (rest > 0) split_.push_back(NodeIndex{i});
    nodes_ += rest;
    edges_ += edges_of(NodeIndex{i});
  }
}

void HeapSnapshotWriter::write() {
  collect_roots();
  count();
  out_.text("{\"snapshot\":{\"meta\":");
  out_.text(kMeta);
  out_.text(fmt::format(",\"node_count\":{},\"edge_count\":{},\"trace_function_count\":0}},\n",
                        nodes_, edges_));
  out_.text("\"nodes\":[");
  out_.begin_list();
  write_nodes();
  out_.text("],\n\"edges\":[");
  out_.begin_list();
  write_edges();
  out_.text(
      "],\n\"trace_function_infos\":[],\n\"trace_tree\":[],\n\"samples\":[],\n"
      "\"locations\":[],\n\"strings\":[");
  strings_.write(out_);
  out_.text("]}\n");
}

void HeapSnapshotWriter::write_nodes() {
  const auto synthetic = [&](std::uint64_t name, std::uint64_t id, std::uint64_t edges) {
    const std::array<std::uint64_t, kNodeFields> fields{
        static_cast<std::uint64_t>(V8Node::kSynthetic), name, id, 0, edges, 0, 0};
    out_.record(fields);
  };
  synthetic(strings_.add(""), 1, modules_.size() + groups_.size() + 1);
  for (std::size_t i = 0; i < groups_.size(); ++i)
    synthetic(strings_.add(kV8Groups[i]), v8_group_id(i), groups_[i].size());
  for (std::uint32_t i = 0; i < graph_.node_count(); ++i) write_object(NodeIndex{i});
  write_rest_nodes();
  // VS Code's reader (v8-heap-parser 0.1.0) stops with an index out of bounds where the last node
  // of the file dominates another, as an object at the highest address may: a leaf closes the list.
  synthetic(strings_.add("(end)"), kV8EndId, 0);
}

// Nodes are asked for in ascending order, as the marks lie.
const snapshot::StringMark* HeapSnapshotWriter::find_mark(NodeIndex node) {
  const auto& marks = snapshot_.string_marks;
  while (next_mark_ < marks.size() && marks[next_mark_].node < node.value) ++next_mark_;
  const bool found = next_mark_ < marks.size() && marks[next_mark_].node == node.value;
  return found ? &marks[next_mark_] : nullptr;
}

// Without its content: readers take strings of one name for duplicates, so that those that say the
// same have one.
std::uint64_t HeapSnapshotWriter::string_name(NodeIndex node) {
  const auto* const mark = find_mark(node);
  if (mark == nullptr)
    return strings_.add_only(fmt::format("str@{:x}", graph_.address(node).value));
  std::uint64_t& name = marked_names_[first_alike_[next_mark_]];
  if (name == 0) name = strings_.add_only(marked_name(*mark));
  return name;
}

// Content is named only where the snapshot has it. Two that were cut may begin alike and be
// different.
std::uint64_t HeapSnapshotWriter::object_name(NodeIndex node) {
  const std::uint32_t type = graph_.type(node).value;
  const V8Node kind = type_nodes_[type];
  if (kind == V8Node::kObject || kind == V8Node::kArray) return type_names_[type];
  const auto text = snapshot_.texts.find(node.value);
  if (kind == V8Node::kClosure || kind == V8Node::kCode) {
    const std::string_view label = graph_.label(node);
    return label.empty() ? type_names_[type] : strings_.add(label);
  }
  if (text != snapshot_.texts.end()) {
    const auto* const mark =
        kind == V8Node::kString && text->second.ends_with("…") ? find_mark(node) : nullptr;
    if (mark != nullptr) return strings_.add(text->second + " " + marked_name(*mark));
    return strings_.add(unquoted(text->second));
  }
  return kind == V8Node::kNumber ? type_names_[type] : string_name(node);
}

void HeapSnapshotWriter::write_object(NodeIndex node) {
  const std::uint32_t type = graph_.type(node).value;
  const std::uint64_t id =
      ids_.take(graph_.address(node).value, graph_.types()[type].address.value);
  const std::uint64_t bytes = std::min(graph_.bytes(node), kV8LargestSize);
  const std::array<std::uint64_t, kNodeFields> fields{
      static_cast<std::uint64_t>(type_nodes_[type]), object_name(node), id, bytes, edges_of(node)};
  out_.record(fields);
}

void HeapSnapshotWriter::write_rest_nodes() {
  for (const NodeIndex node : split_) {
    std::uint64_t left = graph_.bytes(node) - kV8LargestSize;
    for (std::uint64_t part = 1; left > 0; ++part) {
      const std::uint64_t bytes = std::min(left, kV8LargestSize);
      left -= bytes;
      const std::array<std::uint64_t, kNodeFields> fields{
          static_cast<std::uint64_t>(V8Node::kNative),
          type_names_[graph_.type(node).value],
          ids_.take(graph_.address(node).value, ~part),
          bytes,
          0,
          0,
          0};
      out_.record(fields);
    }
  }
}

std::uint64_t HeapSnapshotWriter::name_string(std::uint32_t name) {
  if (name >= name_strings_.size()) name_strings_.resize(name + 1, 0);
  if (name_strings_[name] == 0) name_strings_[name] = strings_.add(graph_.name(NameIndex{name}));
  return name_strings_[name];
}

std::uint64_t HeapSnapshotWriter::key_string(std::uint32_t key) {
  const auto text = snapshot_.texts.find(key);
  if (text == snapshot_.texts.end()) return unknown_key_;
  const auto [it, fresh] = key_strings_.try_emplace(key, 0);
  if (fresh) it->second = strings_.add(unquoted(text->second));
  return it->second;
}

HeapSnapshotWriter::Reference HeapSnapshotWriter::reference(EdgeLabel label) {
  const std::uint32_t value = label.value();
  switch (label.kind()) {
    case EdgeKind::kIndex:
      if (label.weak()) break;
      return {V8Edge::kElement, value};
    case EdgeKind::kKey:
      return {V8Edge::kProperty, key_string(value)};
    case EdgeKind::kAttribute:
    case EdgeKind::kLocal:
      return {V8Edge::kProperty, name_string(value)};
    case EdgeKind::kClosure:
      return {V8Edge::kContext, name_string(value)};
    case EdgeKind::kInternal:
      return {V8Edge::kInternal, name_string(value)};
    default:
      break;
  }
  // Few and short: attributes that have no name in the program.
  if (label.kind() == EdgeKind::kDict) return {V8Edge::kInternal, strings_.add("__dict__")};
  if (label.kind() == EdgeKind::kKeyItself) return {V8Edge::kInternal, strings_.add("key")};
  if (label.kind() == EdgeKind::kContents) return {V8Edge::kInternal, strings_.add("contents")};
  if (label.kind() == EdgeKind::kMember) return {V8Edge::kInternal, strings_.add("member")};
  if (label.kind() == EdgeKind::kIndex) return {V8Edge::kInternal, strings_.add("item")};
  return {V8Edge::kInternal, strings_.add(fmt::format("+{:#x}", value))};
}

void HeapSnapshotWriter::write_object_edges(NodeIndex node) {
  const auto targets = graph_.targets(node);
  const auto labels = graph_.labels(node);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] >= graph_.node_count()) continue;
    Reference to = reference(labels[i]);
    if (labels[i].weak()) to.type = V8Edge::kWeak;
    edge(to.type, to.name, place_of(targets[i]));
  }
}

void HeapSnapshotWriter::write_edges() {
  for (const auto& [name, module] : modules_) edge(V8Edge::kProperty, name, place_of(module.value));
  for (std::size_t i = 0; i < groups_.size(); ++i) edge(V8Edge::kElement, i, (1 + i) * kNodeFields);
  edge(V8Edge::kElement, groups_.size(), (nodes_ - 1) * kNodeFields);
  for (const auto& group : groups_)
    for (std::size_t i = 0; i < group.size(); ++i)
      edge(V8Edge::kElement, i, place_of(group[i].value));
  std::uint64_t rest_node = kFirstObject + graph_.node_count();
  for (std::uint32_t i = 0; i < graph_.node_count(); ++i) {
    write_object_edges(NodeIndex{i});
    for (std::uint64_t part = v8_rest_nodes(graph_.bytes(NodeIndex{i})); part > 0; --part)
      edge(V8Edge::kInternal, rest_string_, rest_node++ * kNodeFields);
  }
}

}  // namespace

Result<Unit> write_heapsnapshot(const Look& look, const SnapshotFormatOptions&, std::ostream& out) {
  HeapSnapshotWriter(look, out).write();
  out.flush();
  return check_stream(out);
}

}  // namespace memspy::sinks

#include "report/groups.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include <spdlog/fmt/fmt.h>

namespace memspy::report {
namespace {

Group describe_group(const recording::ShapedFrame& frame, GroupBy by) {
  Group group;
  if (frame.kind == FrameKind::kMarker || frame.file.empty()) {
    group.name = group.key = group.function = frame.text;
    return group;
  }
  group.file = frame.file;
  if (by == GroupBy::kFile) {
    group.name = frame.file_name;
    group.key = frame.file;
    return group;
  }
  group.function = frame.function;
  if (by == GroupBy::kFunction || frame.line == 0) {
    group.name = fmt::format("{} ({})", frame.function, frame.file_name);
    group.key = fmt::format("{} ({})", frame.function, frame.file);
    return group;
  }
  group.line = frame.line;
  group.name = frame.text;
  group.key = fmt::format("{} ({}:{})", frame.function, frame.file, frame.line);
  return group;
}

// The place in the stack that it is charged to.
std::size_t charged(const recording::ShapedProfile& shaped, const recording::ShapedStack& stack,
                    ChargeTo charge) {
  const std::size_t last = stack.frames.size() - 1;
  if (charge == ChargeTo::kInnermost) return last;
  for (std::size_t i = stack.frames.size(); i-- > 0;) {
    if (shaped.frames[stack.frames[i]].kind == FrameKind::kPython) return i;
  }
  return last;
}

}  // namespace

std::string_view group_name(GroupBy by) {
  switch (by) {
    case GroupBy::kLine:
      return "line";
    case GroupBy::kFunction:
      return "function";
    case GroupBy::kFile:
      break;
  }
  return "file";
}

std::optional<GroupBy> find_group(std::string_view name) {
  for (const GroupBy by : {GroupBy::kLine, GroupBy::kFunction, GroupBy::kFile}) {
    if (group_name(by) == name) return by;
  }
  return std::nullopt;
}

Groups group_stacks(const recording::ShapedProfile& shaped, GroupBy by, ChargeTo charge) {
  Groups out;
  out.total = shaped.total;
  out.measure = shaped.measure;
  std::vector<std::size_t> group_of;  // by frame
  std::unordered_map<std::string, std::size_t> index;
  for (const auto& frame : shaped.frames) {
    Group group = describe_group(frame, by);
    const auto [it, fresh] = index.try_emplace(group.key, out.rows.size());
    if (fresh) out.rows.push_back(std::move(group));
    group_of.push_back(it->second);
  }
  std::vector<std::size_t> counted(out.rows.size(), 0);  // the last stack that counted it, from 1
  for (std::size_t i = 0; i < shaped.stacks.size(); ++i) {
    const auto& stack = shaped.stacks[i];
    auto& own = out.rows[group_of[stack.frames[charged(shaped, stack, charge)]]];
    own.own += stack.amount;
    own.samples += stack.samples;
    for (const auto frame : stack.frames) {
      const std::size_t group = group_of[frame];
      if (counted[group] != i + 1) out.rows[group].cumulative += stack.amount;  // once if recursive
      counted[group] = i + 1;
    }
  }
  std::erase_if(out.rows, [](const Group& g) { return g.cumulative == 0; });
  std::sort(out.rows.begin(), out.rows.end(), [](const Group& a, const Group& b) {
    return std::tie(b.own, b.cumulative, a.name, a.key) <
           std::tie(a.own, a.cumulative, b.name, b.key);
  });
  return out;
}

}  // namespace memspy::report

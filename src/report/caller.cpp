#include "report/caller.h"

#include <algorithm>
#include <array>
#include <map>

#include "recording/text.h"

namespace memspy::report {
namespace {

using recording::ShapedFrame;
using recording::ShapedProfile;
using recording::ShapedStack;

const ShapedFrame* innermost_python(const ShapedProfile& shaped, const ShapedStack& stack) {
  for (auto it = stack.frames.rbegin(); it != stack.frames.rend(); ++it) {
    if (shaped.frames[*it].kind == FrameKind::kPython) return &shaped.frames[*it];
  }
  return nullptr;
}

const ShapedFrame* innermost_of_program(const ShapedProfile& shaped, const ShapedStack& stack) {
  for (auto it = stack.frames.rbegin(); it != stack.frames.rend(); ++it) {
    const ShapedFrame& frame = shaped.frames[*it];
    if (frame.kind == FrameKind::kMarker && frame.function == kCallersUnknown) return nullptr;
    if (frame.kind == FrameKind::kPython && !is_library_file(frame.file)) return &frame;
  }
  return nullptr;
}

}  // namespace

bool is_library_file(std::string_view file) {
  constexpr std::array<std::string_view, 5> kFolders = {"/lib/python3", "/lib64/python3", "/bin/",
                                                        "/site-packages/", "/dist-packages/"};
  return file.empty() || file.starts_with("<frozen ") ||
         std::any_of(kFolders.begin(), kFolders.end(), [&](std::string_view folder) {
           return file.find(folder) != std::string_view::npos;
         });
}

std::optional<Caller> find_caller(const ShapedProfile& shaped, const Group& function) {
  if (!is_library_file(function.file)) return std::nullopt;
  std::map<std::string, std::uint64_t> bytes_of;
  for (const ShapedStack& stack : shaped.stacks) {
    const ShapedFrame* charged = innermost_python(shaped, stack);
    if (charged == nullptr || charged->function != function.function ||
        charged->file != function.file)
      continue;
    if (const ShapedFrame* caller = innermost_of_program(shaped, stack))
      bytes_of[caller->text] += stack.amount;
  }
  const auto top = std::max_element(bytes_of.begin(), bytes_of.end(),
                                    [](auto& a, auto& b) { return a.second < b.second; });
  if (top == bytes_of.end()) return std::nullopt;
  return Caller{recording::escape_text(top->first), top->second};
}

}  // namespace memspy::report

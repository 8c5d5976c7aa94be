#include "heap/string_marks.h"

#include <algorithm>

#include "base/parallel.h"
#include "cpython/heap/string_marks.h"

namespace memspy::heap {
namespace {

using snapshot::StringMark;

// Texts of the interpreter's own data, which nothing was copied of, and small heaps.
constexpr std::uint64_t kBytesBesides = std::uint64_t{64} << 20;

std::vector<NodeIndex> strings_of(const snapshot::ObjectGraph& graph) {
  std::vector<bool> wanted;
  for (const HeapType& type : graph.types()) wanted.push_back(type.name == "builtins.str");
  std::vector<NodeIndex> nodes;
  for (std::uint32_t i = 0; i < graph.node_count(); ++i)
    if (wanted[graph.type(NodeIndex{i}).value]) nodes.push_back({i});
  return nodes;
}

}  // namespace

Result<StringMarks> mark_strings(const cpython::Layout& layout, const MemoryReader& memory,
                                 const snapshot::ObjectGraph& graph, std::uint64_t bytes) {
  MEMSPY_TRY(key, random_hash_key());
  const std::vector<NodeIndex> nodes = strings_of(graph);
  StringMarks found;
  std::vector<StringMark>& marks = found.marks;
  marks.resize(nodes.size());
  in_shares(nodes.size(), [&](std::uint64_t begin, std::uint64_t end) {
    cpython::StringMarker marker(layout, memory, key, bytes + kBytesBesides);
    for (std::uint64_t i = begin; i < end; ++i) {
      marks[i].node = kNoNode.value;
      const auto mark = marker.mark_of(graph.address(nodes[i]));
      if (!mark) continue;
      marks[i] = {
          nodes[i].value,
          static_cast<std::uint32_t>(std::min<std::uint64_t>(mark->length, StringMark::kLongest)),
          mark->hash};
    }
  });
  found.without =
      std::erase_if(marks, [](const StringMark& mark) { return mark.node == kNoNode.value; });
  return found;
}

}  // namespace memspy::heap

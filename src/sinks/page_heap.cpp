#include <nlohmann/json.hpp>

#include "recording/summary_json.h"
#include "recording/text.h"
#include "sinks/owner_stacks.h"
#include "sinks/page_columns.h"
#include "sinks/page_run.h"
#include "sinks/snapshot_formats.h"

namespace memspy::sinks {

std::string page_heap(const snapshot::Look& look, const std::string& document) {
  const OwnerStacks stacks = owner_stacks(look);
  auto names = nlohmann::ordered_json::array();
  for (const std::string& frame : stacks.frames)
    names.push_back(recording::escape_text(frame, "\\"));
  std::vector<std::size_t> lengths;
  std::vector<std::uint32_t> frames;
  std::vector<std::uint64_t> bytes, objects;
  for (const OwnerStack& stack : stacks.stacks) {
    lengths.push_back(stack.frames.size());
    frames.insert(frames.end(), stack.frames.begin(), stack.frames.end());
    bytes.push_back(stack.bytes);
    objects.push_back(stack.objects);
  }
  PageObject object;
  object.add_json("document", document.empty() ? "null" : document);
  object.add_json("names", recording::json_line(names));
  object.add_numbers("lengths", lengths);
  object.add_numbers("frames", frames);
  object.add_numbers("bytes", bytes);
  object.add_numbers("objects", objects);
  return std::move(object).take();
}

Result<Unit> write_heap_html(const snapshot::Look& look, const SnapshotFormatOptions& options,
                             std::ostream& out) {
  PageParts parts;
  parts.heap = &look;
  if (options.document) parts.heap_document = options.document(look);
  return write_page(parts, out);
}

}  // namespace memspy::sinks

#include "cpython/heap/string_marks.h"

#include "cpython/text.h"

namespace memspy::cpython {

StringMarker::StringMarker(const Layout& layout, const MemoryReader& memory, const HashKey& key,
                           std::uint64_t budget)
    : layout_(layout), heads_(memory), texts_(memory), key_(key), budget_(budget) {}

std::optional<StringMarker::Mark> StringMarker::mark_of(RemoteAddr string) {
  // A short ASCII string ends before the fields of the others do, and with it perhaps the page.
  auto head = heads_.bytes(string, text_head_size(layout_));
  if (head.empty()) head = heads_.bytes(string, layout_.offset(Field::kUnicodeAsciiData));
  const auto shape = text_shape(layout_, string, head);
  if (!shape.has_value()) return std::nullopt;
  const std::uint64_t bytes = shape->length * shape->width;  // both are checked to be small
  if (bytes > budget_) return std::nullopt;
  const auto text = texts_.bytes(shape->characters, bytes);
  if (text.size() != bytes) return std::nullopt;
  budget_ -= bytes;
  // Two texts of one length may have the same bytes in other widths.
  return Mark{shape->length, keyed_hash({key_.first, key_.second ^ shape->width}, text)};
}

}  // namespace memspy::cpython

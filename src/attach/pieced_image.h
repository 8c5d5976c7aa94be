// ProcessImage over pieces of memspy's own memory (a copy, a core file), and over files for what
// was not written to.
#pragma once

#include <atomic>
#include <memory>
#include <variant>

#include "attach/copy_store.h"
#include "attach/file_pages.h"
#include "attach/process_image.h"
#include "base/mapped_file.h"

namespace memspy::attach {

struct ImagePiece {
  RemoteAddr start;
  std::span<const std::byte> bytes;
  RemoteAddr end() const { return start + bytes.size(); }
};

struct ImageParts {
  std::vector<ImagePiece> pieces;  // ascending, without overlaps, none empty
  MemoryMap map;
  std::vector<MappedPages> pages;
  std::unique_ptr<FilePages> files;  // may be null
  ImageFacts facts;
  // Memory without a file that is in no piece was never written to. A core file does not say so.
  bool holes_are_zeros = true;
};

class PiecedImage final : public ProcessImage {
 public:
  // What the pieces lie in; nothing: memory of the caller, which outlives the image.
  using Owner = std::variant<std::monostate, CopyStore, MappedFile>;

  PiecedImage(ImageParts parts, Owner owner);

  std::size_t read_some(RemoteAddr addr, std::span<std::byte> out) const override;
  std::span<const std::byte> view(RemoteAddr addr) const override;
  const ImageFacts& facts() const override { return parts_.facts; }
  const MemoryMap& map() const override { return parts_.map; }
  const std::vector<MappedPages>& pages() const override { return parts_.pages; }
  std::span<const AddressRange> resident() const override { return resident_; }

 private:
  std::size_t find_piece(RemoteAddr addr) const;
  std::span<const std::byte> view_hole(RemoteAddr addr, std::size_t next) const;

  ImageParts parts_;
  std::vector<AddressRange> resident_;  // the pieces, adjacent ones as one
  Owner owner_;
  mutable std::atomic<std::size_t> last_{0};  // a walk stays in one piece for long
};

}  // namespace memspy::attach

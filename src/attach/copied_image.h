// ProcessImage over ranges that lie one behind the other in memspy's memory, and over files.
#pragma once

#include <atomic>
#include <memory>

#include "attach/copy_store.h"
#include "attach/file_pages.h"
#include "attach/image_plan.h"
#include "attach/process_image.h"

namespace memspy::attach {

class CopiedImage final : public ProcessImage {
 public:
  CopiedImage(ImagePlan plan, CopyStore store, std::unique_ptr<FilePages> files, ImageFacts facts);

  std::size_t read_some(RemoteAddr addr, std::span<std::byte> out) const override;
  std::span<const std::byte> view(RemoteAddr addr) const override;
  const ImageFacts& facts() const override { return facts_; }
  const MemoryMap& map() const override { return plan_.map; }
  const std::vector<MappedPages>& pages() const override { return plan_.pages; }

 private:
  std::size_t find_range(RemoteAddr addr) const;
  std::span<const std::byte> view_hole(RemoteAddr addr, std::size_t next) const;

  ImagePlan plan_;
  CopyStore store_;
  std::unique_ptr<FilePages> files_;
  ImageFacts facts_;
  std::vector<std::uint64_t> offsets_;        // of the ranges, in store_
  mutable std::atomic<std::size_t> last_{0};  // a walk stays in one range for long
};

}  // namespace memspy::attach

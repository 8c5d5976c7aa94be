#include "attach/core_image.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include <spdlog/fmt/fmt.h>

#include "attach/core_format.h"

namespace memspy::attach {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kHeadBytes = 64U << 10;  // of a file: program headers and the build id

class CoreImageMaker {
 public:
  CoreImageMaker(const CoreLayout& core, const std::string& executable)
      : core_(core), executable_(executable) {}
  ImageParts make();

 private:
  UniqueFd open_file(const Mapping& mapping);
  // Empty: the core lacks the head of this file, or the file has no build id.
  Bytes build_id_in_core(const Mapping& mapping) const;
  void add_pages(ImageParts& parts) const;

  const CoreLayout& core_;
  const std::string& executable_;
  MemoryMap map_;
  std::string own_path_;  // of the program, as the core names it
  std::vector<std::string> remarks_;
};

ImageParts CoreImageMaker::make() {
  map_ = map_of(core_);
  if (const auto headers = core_.find_auxv(AT_PHDR)) {
    if (const Mapping* own = find_mapping(map_, RemoteAddr{*headers})) own_path_ = own->path;
  }
  ImageParts parts;
  for (const CoreSegment& segment : core_.segments)
    // Reserved address space, which gcore writes out although nothing was ever there.
    if (!segment.bytes.empty() && segment.readable)
      parts.pieces.push_back({segment.start, segment.bytes});
  parts.files = std::make_unique<FilePages>(
      map_, [this](const Mapping& mapping) { return open_file(mapping); });
  parts.holes_are_zeros = false;
  parts.facts.process.pid = core_.pid;
  parts.facts.name = core_.name;
  parts.facts.command = core_.command;
  parts.facts.threads = parts.facts.held = core_.threads;
  add_pages(parts);
  parts.facts.copied_bytes = parts.facts.rss_bytes;
  parts.facts.remarks = core_.remarks;
  parts.facts.remarks.insert(parts.facts.remarks.end(), remarks_.begin(), remarks_.end());
  parts.map = std::move(map_);
  return parts;
}

// A core does not tell what was resident: what was dumped and could be read stands for it.
void CoreImageMaker::add_pages(ImageParts& parts) const {
  std::size_t next = 0;
  for (const Mapping& mapping : map_) {
    MappedPages pages{mapping, 0, 0, 0};
    while (next < parts.pieces.size() && parts.pieces[next].end() <= mapping.start) ++next;
    for (std::size_t i = next; i < parts.pieces.size(); ++i) {
      const ImagePiece& piece = parts.pieces[i];
      if (piece.start >= mapping.end) break;
      pages.rss_bytes +=
          std::min(piece.end(), mapping.end).value - std::max(piece.start, mapping.start).value;
    }
    parts.facts.rss_bytes += pages.rss_bytes;
    parts.pages.push_back(std::move(pages));
  }
}

Bytes CoreImageMaker::build_id_in_core(const Mapping& mapping) const {
  for (const CoreFileRange& range : core_.files) {
    if (range.path != mapping.path || range.offset != 0) continue;
    for (const CoreSegment& segment : core_.segments) {
      if (segment.start <= range.start && range.start < segment.end) {
        const std::uint64_t inside = range.start.value - segment.start.value;
        if (inside < segment.bytes.size()) return find_build_id(segment.bytes.subspan(inside));
      }
    }
  }
  return {};
}

UniqueFd CoreImageMaker::open_file(const Mapping& mapping) {
  const bool own = !executable_.empty() && mapping.path == own_path_;
  const std::string& path = own ? executable_ : mapping.path;
  UniqueFd fd;
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode))
    fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) {
    remarks_.push_back(
        fmt::format("{} is not here: what the core leaves out of it is missing", path));
    return fd;
  }
  const Bytes wanted = build_id_in_core(mapping);
  if (wanted.empty()) return fd;
  std::vector<std::byte> head(kHeadBytes);
  const ssize_t got = ::pread(fd.get(), head.data(), head.size(), 0);
  const Bytes there = find_build_id(Bytes(head).first(got > 0 ? static_cast<std::size_t>(got) : 0));
  if (std::equal(wanted.begin(), wanted.end(), there.begin(), there.end())) return fd;
  remarks_.push_back(fmt::format("{} is another build than the core was made with", path));
  return UniqueFd();
}

}  // namespace

Result<std::unique_ptr<ProcessImage>> image_of_core(Bytes file, PiecedImage::Owner owner,
                                                    const std::string& executable) {
  MEMSPY_TRY(core, parse_core(file));
  return std::unique_ptr<ProcessImage>(
      std::make_unique<PiecedImage>(CoreImageMaker(core, executable).make(), std::move(owner)));
}

Result<std::unique_ptr<ProcessImage>> open_core(const std::string& core,
                                                const std::string& executable) {
  MEMSPY_TRY(file, MappedFile::open(core));
  const Bytes bytes = file.bytes();
  return image_of_core(bytes, std::move(file), executable).context("reading " + core);
}

}  // namespace memspy::attach

#include "attach/copied_image.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace memspy::attach {
namespace {

// What a view of pages that nobody has written to shows.
constexpr std::array<std::byte, 64U << 10> kZeros{};

}  // namespace

CopiedImage::CopiedImage(ImagePlan plan, CopyStore store, std::unique_ptr<FilePages> files,
                         ImageFacts facts)
    : plan_(std::move(plan)),
      store_(std::move(store)),
      files_(std::move(files)),
      facts_(std::move(facts)) {
  std::uint64_t offset = 0;
  offsets_.reserve(plan_.ranges.size());
  for (const CopyRange& range : plan_.ranges) {
    offsets_.push_back(offset);
    offset += range.size();
  }
}

// The range that holds `addr`, or else the next one.
std::size_t CopiedImage::find_range(RemoteAddr addr) const {
  const auto& ranges = plan_.ranges;
  const std::size_t last = last_.load(std::memory_order_relaxed);
  if (last < ranges.size() && addr >= ranges[last].start && addr < ranges[last].end) return last;
  const auto it = std::partition_point(ranges.begin(), ranges.end(),
                                       [&](const CopyRange& range) { return range.end <= addr; });
  const auto index = static_cast<std::size_t>(it - ranges.begin());
  last_.store(index, std::memory_order_relaxed);
  return index;
}

std::span<const std::byte> CopiedImage::view(RemoteAddr addr) const {
  const std::size_t index = find_range(addr);
  if (index < plan_.ranges.size() && plan_.ranges[index].start <= addr) {
    const CopyRange& range = plan_.ranges[index];
    const std::uint64_t inside = addr.value - range.start.value;
    return {store_.data() + offsets_[index] + inside, range.size() - inside};
  }
  return view_hole(addr, index);
}

// Nothing was copied at `addr`: the file says what lies there, or nothing has been written yet.
std::span<const std::byte> CopiedImage::view_hole(RemoteAddr addr, std::size_t next) const {
  const Mapping* mapping = find_mapping(plan_.map, addr);
  if (mapping == nullptr || !readable_memory(*mapping)) return {};
  RemoteAddr end = mapping->end;
  if (next < plan_.ranges.size()) end = std::min(end, plan_.ranges[next].start);
  const std::uint64_t hole = end.value - addr.value;
  if (mapping->anonymous())
    return std::span(kZeros).first(std::min<std::uint64_t>(hole, kZeros.size()));
  const auto bytes = files_ ? files_->view(*mapping, addr) : std::span<const std::byte>{};
  return bytes.first(std::min<std::uint64_t>(bytes.size(), hole));
}

std::size_t CopiedImage::read_some(RemoteAddr addr, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto bytes = view(addr + done);
    if (bytes.empty()) break;
    const std::size_t part = std::min(bytes.size(), out.size() - done);
    std::memcpy(out.data() + done, bytes.data(), part);
    done += part;
  }
  return done;
}

}  // namespace memspy::attach

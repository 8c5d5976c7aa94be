#include "attach/pieced_image.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "attach/image_plan.h"

namespace memspy::attach {
namespace {

// What a view of pages that nobody has written to shows.
constexpr std::array<std::byte, 64U << 10> kZeros{};

}  // namespace

PiecedImage::PiecedImage(ImageParts parts, Owner owner)
    : parts_(std::move(parts)), owner_(std::move(owner)) {
  if (!parts_.holes_are_zeros) return;  // what is in no piece may have been resident all the same
  for (const ImagePiece& piece : parts_.pieces) {
    if (!resident_.empty() && resident_.back().start + resident_.back().size == piece.start) {
      resident_.back().size += piece.bytes.size();
    } else {
      resident_.push_back({piece.start, piece.bytes.size()});
    }
  }
}

// The piece that holds `addr`, or else the next one.
std::size_t PiecedImage::find_piece(RemoteAddr addr) const {
  const auto& pieces = parts_.pieces;
  const std::size_t last = last_.load(std::memory_order_relaxed);
  if (last < pieces.size() && addr >= pieces[last].start && addr < pieces[last].end()) return last;
  const auto it = std::partition_point(
      pieces.begin(), pieces.end(), [&](const ImagePiece& piece) { return piece.end() <= addr; });
  const auto index = static_cast<std::size_t>(it - pieces.begin());
  last_.store(index, std::memory_order_relaxed);
  return index;
}

std::span<const std::byte> PiecedImage::view(RemoteAddr addr) const {
  const std::size_t index = find_piece(addr);
  if (index < parts_.pieces.size() && parts_.pieces[index].start <= addr) {
    const ImagePiece& piece = parts_.pieces[index];
    return piece.bytes.subspan(addr.value - piece.start.value);
  }
  return view_hole(addr, index);
}

// In no piece: the file says what lies there, or nothing has been written yet.
std::span<const std::byte> PiecedImage::view_hole(RemoteAddr addr, std::size_t next) const {
  const Mapping* mapping = find_mapping(parts_.map, addr);
  if (mapping == nullptr || !readable_memory(*mapping)) return {};
  RemoteAddr end = mapping->end;
  if (next < parts_.pieces.size()) end = std::min(end, parts_.pieces[next].start);
  const std::uint64_t hole = end.value - addr.value;
  std::span<const std::byte> bytes;
  if (!mapping->anonymous() && parts_.files) {
    bytes = parts_.files->view(*mapping, addr);
  } else if (mapping->anonymous() && parts_.holes_are_zeros) {
    bytes = kZeros;
  }
  return bytes.first(std::min<std::uint64_t>(bytes.size(), hole));
}

std::size_t PiecedImage::read_some(RemoteAddr addr, std::span<std::byte> out) const {
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

#include "cpython/memory_copy.h"

#include <algorithm>

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kPage = 4096;
// Copying this much more is cheaper than one more piece.
constexpr std::uint64_t kMergeGap = 1024;
// User space of x86-64 and aarch64; anything above is not an address, and ends cannot overflow.
constexpr std::uint64_t kEndOfUserSpace = std::uint64_t{1} << 56;

bool near(std::uint64_t end, std::uint64_t start) {
  return start <= end + kMergeGap || start / kPage == (end - 1) / kPage;
}

}  // namespace

void MemoryCopy::clear() {
  wanted_.clear();
  pieces_.clear();
  batches_.clear();
  used_ = 0;
  last_found_ = 0;
}

void MemoryCopy::want(RemoteAddr addr, std::size_t size) {
  if (!addr || size == 0 || size > kMaxBytes || addr.value >= kEndOfUserSpace) return;
  if (find_piece(addr, size) != nullptr) return;
  wanted_.push_back({addr.value, addr.value + size});
}

void MemoryCopy::merge_wanted() {
  const auto by_start = [](const Wanted& a, const Wanted& b) { return a.start < b.start; };
  std::sort(wanted_.begin(), wanted_.end(), by_start);
  std::size_t kept = 0;
  for (std::size_t i = 1; i < wanted_.size(); ++i) {
    if (near(wanted_[kept].end, wanted_[i].start)) {
      wanted_[kept].end = std::max(wanted_[kept].end, wanted_[i].end);
    } else {
      wanted_[++kept] = wanted_[i];
    }
  }
  wanted_.resize(kept + 1);
}

void MemoryCopy::request_pieces() {
  std::size_t end = used_;
  std::size_t count = 0;
  for (const Wanted& wanted : wanted_) {
    const std::uint64_t size = wanted.end - wanted.start;
    if (size > kMaxBytes - end) break;
    end += size;
    ++count;
  }
  wanted_.resize(count);
  if (bytes_.size() < end) bytes_.resize(std::max(end, 2 * bytes_.size()));
  requests_.clear();
  for (const Wanted& wanted : wanted_) {
    const std::size_t size = wanted.end - wanted.start;
    requests_.push_back({RemoteAddr{wanted.start}, std::span(bytes_).subspan(used_, size)});
    pieces_.push_back({wanted.start, 0, used_});
    used_ += size;
  }
}

void MemoryCopy::fetch() {
  if (wanted_.empty()) return;
  merge_wanted();
  const std::size_t first = pieces_.size();
  batches_.push_back(first);
  request_pieces();
  memory_->read_many(requests_);
  for (std::size_t i = 0; i < requests_.size(); ++i) pieces_[first + i].size = requests_[i].done;
  wanted_.clear();
}

const MemoryCopy::Piece* MemoryCopy::find_piece(RemoteAddr addr, std::size_t size) const {
  const auto covers = [&](const Piece& piece) {
    const std::uint64_t offset = addr.value - piece.start;
    return addr.value >= piece.start && offset < piece.size && piece.size - offset >= size;
  };
  if (last_found_ < pieces_.size() && covers(pieces_[last_found_])) return &pieces_[last_found_];
  const auto starts_after = [](std::uint64_t at, const Piece& piece) { return at < piece.start; };
  auto end = pieces_.end();
  // The newest batch first: what is looked for was often just fetched.
  for (auto first = batches_.rbegin(); first != batches_.rend(); ++first) {
    const auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(*first);
    auto it = std::upper_bound(begin, end, addr.value, starts_after);
    if (it != begin && covers(*--it)) {
      last_found_ = static_cast<std::size_t>(it - pieces_.begin());
      return &*it;
    }
    end = begin;
  }
  return nullptr;
}

std::span<const std::byte> MemoryCopy::find(RemoteAddr addr, std::size_t size) const {
  const Piece* piece = find_piece(addr, size);
  if (piece == nullptr) return {};
  return std::span(bytes_).subspan(piece->offset + (addr.value - piece->start), size);
}

std::span<const std::byte> MemoryCopy::find_prefix(RemoteAddr addr, std::size_t size) const {
  const Piece* piece = find_piece(addr, 1);
  if (piece == nullptr) return {};
  const std::uint64_t offset = addr.value - piece->start;
  const std::size_t length = std::min<std::size_t>(size, piece->size - offset);
  return std::span(bytes_).subspan(piece->offset + offset, length);
}

}  // namespace memspy::cpython

#include "support/copied_process.h"

#include <algorithm>
#include <cstring>

namespace memspy::testing {

CopiedProcess::CopiedProcess(Pid pid, const MemoryMap& map) : live_(pid) {
  for (const Mapping& mapping : map) {
    if (!mapping.readable || !mapping.writable || mapping.path == "[vvar]") continue;
    Piece piece{mapping.start.value, std::vector<std::byte>(mapping.size())};
    piece.bytes.resize(live_.read_some(mapping.start, piece.bytes));
    if (!pieces_.empty() && pieces_.back().start + pieces_.back().bytes.size() == piece.start) {
      auto& bytes = pieces_.back().bytes;
      bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
    } else {
      pieces_.push_back(std::move(piece));
    }
  }
}

std::span<const std::byte> CopiedProcess::view(RemoteAddr addr) const {
  auto after =
      std::upper_bound(pieces_.begin(), pieces_.end(), addr.value,
                       [](std::uint64_t at, const Piece& piece) { return at < piece.start; });
  if (after == pieces_.begin()) return {};
  const Piece& piece = *std::prev(after);
  const std::uint64_t offset = addr.value - piece.start;
  if (offset >= piece.bytes.size()) return {};
  return std::span(piece.bytes).subspan(static_cast<std::size_t>(offset));
}

std::size_t CopiedProcess::read_some(RemoteAddr addr, std::span<std::byte> out) const {
  const auto found = view(addr);
  if (found.size() < out.size()) return live_.read_some(addr, out);
  std::memcpy(out.data(), found.data(), out.size());
  return out.size();
}

}  // namespace memspy::testing

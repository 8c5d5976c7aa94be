#include "unwind/code_map.h"

#include <algorithm>

#include "unwind/return_address.h"

namespace memspy::unwind {
namespace {

using namespace std::chrono_literals;

// Libraries are loaded rarely; a wild address would have the mappings read at each sample.
constexpr auto kRefreshPause = 50ms;

}  // namespace

CodeMap::Piece* CodeMap::find_piece(std::uint64_t address) {
  const auto above = std::upper_bound(
      pieces_.begin(), pieces_.end(), address,
      [](std::uint64_t at, const Piece& piece) { return at < piece.mapping.end.value; });
  if (above == pieces_.end() || !above->mapping.contains({address})) return nullptr;
  return &*above;
}

// What was opened stays so where the same is mapped at the same place.
void CodeMap::refresh() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_refresh_) return;
  next_refresh_ = now + kRefreshPause;
  auto map = proc_.maps(pid_);
  if (!map.has_value()) return;
  std::vector<Piece> pieces;
  for (Mapping& mapping : *map) {
    if (!mapping.executable) continue;
    const Piece* known = find_piece(mapping.start.value);
    const bool same =
        known != nullptr && known->mapping.start == mapping.start &&
        known->mapping.inode == mapping.inode && known->mapping.device == mapping.device &&
        known->mapping.offset == mapping.offset && known->mapping.path == mapping.path;
    Piece piece = same ? *known : Piece{};
    piece.mapping = std::move(mapping);
    pieces.push_back(std::move(piece));
  }
  pieces_ = std::move(pieces);
}

void CodeMap::open(Piece& piece) {
  piece.opened = true;
  const Mapping& mapping = piece.mapping;
  if (mapping.anonymous() && mapping.path != "[vdso]") return;
  piece.module = store_.open(proc_, pid_, mapping, memory_);
  const auto bias =
      symbolize::bias_of_mapping(piece.module->segments, mapping.start.value, mapping.offset, true);
  piece.bias = bias.value_or(mapping.start.value - mapping.offset);
}

CodePlace CodeMap::find(std::uint64_t address) {
  Piece* piece = find_piece(address);
  if (piece == nullptr) {
    refresh();
    piece = find_piece(address);
  }
  if (piece == nullptr) return {};
  if (!piece->opened) open(*piece);
  return {true, piece->module, address - piece->bias};
}

bool CodeMap::follows_call(std::uint64_t address) {
  std::array<std::byte, kLongestCall> before{};
  if (address < before.size()) return false;
  const CodePlace place = find(address - 1);
  if (!place.code) return false;
  if (place.module != nullptr && place.module->rows) {
    const std::uint64_t from = place.address + 1 - before.size();
    if (place.module->rows->read(from, before) == before.size()) return ends_in_call(before);
  }
  return memory_.read_some({address - before.size()}, before) == before.size() &&
         ends_in_call(before);
}

}  // namespace memspy::unwind

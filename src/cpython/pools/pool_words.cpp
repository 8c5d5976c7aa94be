#include "cpython/pools/pool_words.h"

#include "cpython/remote_fields.h"

namespace memspy::cpython {
namespace {

constexpr std::uint64_t kBytesPerRead = 2048;  // that are copied at the price of one read

}  // namespace

std::optional<std::uint64_t> PoolWords::at(RemoteAddr address) {
  if (address < pool_ || address.value - pool_.value > pool_bytes_ - 8) return std::nullopt;
  if (!copied_ && ++reads_ <= pool_bytes_ / kBytesPerRead) {
    const auto word = read<std::uint64_t>(memory_, address);
    return word.has_value() ? std::optional(*word) : std::nullopt;
  }
  if (!copied_ && !copy()) return std::nullopt;
  return load(copy_, address.value - pool_.value, 8);
}

bool PoolWords::copy() {
  copy_.resize(pool_bytes_);
  copied_ = memory_.read_some(pool_, copy_) == pool_bytes_;
  return copied_;
}

}  // namespace memspy::cpython

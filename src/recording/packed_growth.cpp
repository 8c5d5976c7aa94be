#include "recording/packed_growth.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "recording/varint.h"

namespace memspy::recording {
namespace {

// Most weights are whole pages; counting those in pages saves two bytes of three.
constexpr std::uint64_t kUnit = 4096;

class Cursor : public VarintReader {
 public:
  using VarintReader::VarintReader;

  std::uint32_t take_delta(std::uint32_t before) {
    const std::uint64_t zigzag = take();
    const auto delta =
        static_cast<std::int64_t>(zigzag >> 1U) ^ -static_cast<std::int64_t>(zigzag & 1U);
    // |delta| < 2^32 keeps the sum far from overflow.
    if (zigzag > std::numeric_limits<std::uint32_t>::max() * 2ULL + 1) fail();
    if (failed()) return 0;
    const std::int64_t now = static_cast<std::int64_t>(before) + delta;
    if (now < 0 || now > std::numeric_limits<std::uint32_t>::max()) fail();
    return static_cast<std::uint32_t>(now);
  }

  std::uint64_t take_bytes() {
    const std::uint64_t value = take();
    if ((value & 1U) != 0) return value >> 1U;
    if ((value >> 1U) > kMaxGrowthBytes / kUnit) fail();
    return (value >> 1U) * kUnit;
  }
};

}  // namespace

void GrowthPacker::put(std::uint64_t value) { put_varint(bytes_, value); }

void GrowthPacker::put_delta(std::uint32_t now, std::uint32_t& before) {
  const std::int64_t delta = static_cast<std::int64_t>(now) - static_cast<std::int64_t>(before);
  put((static_cast<std::uint64_t>(delta) << 1U) ^ static_cast<std::uint64_t>(delta >> 63));
  before = now;
}

void GrowthPacker::put_bytes(std::uint64_t bytes) {
  bytes = std::min(bytes, kMaxGrowthBytes);
  put(bytes % kUnit == 0 ? bytes / kUnit << 1U : (bytes << 1U) | 1U);
}

void GrowthPacker::add(const GrowthRecord& growth) {
  put_delta(growth.process.value, process_);
  put_delta(growth.thread.value, thread_);
  put_delta(growth.stack.value, stack_);
  put_bytes(growth.touched_bytes);
  put_bytes(growth.returned_bytes);
  put(growth.samples);
}

void GrowthPacker::clear() {
  bytes_.clear();
  process_ = thread_ = stack_ = 0;
}

UnpackedGrowth unpack_growth(std::string_view blob, std::chrono::nanoseconds time) {
  UnpackedGrowth out;
  Cursor cursor(blob);
  GrowthRecord growth;
  growth.time = time;
  while (!cursor.at_end()) {
    growth.process.value = cursor.take_delta(growth.process.value);
    growth.thread.value = cursor.take_delta(growth.thread.value);
    growth.stack.value = cursor.take_delta(growth.stack.value);
    growth.touched_bytes = cursor.take_bytes();
    growth.returned_bytes = cursor.take_bytes();
    const std::uint64_t samples = cursor.take();
    if (cursor.failed() || samples > std::numeric_limits<std::uint32_t>::max()) {
      out.intact = false;
      return out;
    }
    growth.samples = static_cast<std::uint32_t>(samples);
    out.records.push_back(growth);
  }
  return out;
}

}  // namespace memspy::recording

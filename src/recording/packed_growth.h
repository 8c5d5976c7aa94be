// The growth records of one tick as a compact blob: a row of its own for each would take three
// times the space. The encoding is documented in docs/recording-format.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "memspy/sample.h"

namespace memspy::recording {

// Larger byte counts do not fit the encoding, nor any machine.
inline constexpr std::uint64_t kMaxGrowthBytes = 1ULL << 62;

class GrowthPacker {
 public:
  // The record's time is not packed: the row that holds the blob has it. Byte counts above
  // kMaxGrowthBytes are cut to it.
  void add(const GrowthRecord& growth);
  bool empty() const { return bytes_.empty(); }
  const std::string& bytes() const { return bytes_; }
  void clear();

 private:
  void put(std::uint64_t value);
  void put_delta(std::uint32_t now, std::uint32_t& before);
  void put_bytes(std::uint64_t bytes);

  std::string bytes_;
  std::uint32_t process_ = 0, thread_ = 0, stack_ = 0;
};

struct UnpackedGrowth {
  std::vector<GrowthRecord> records;
  bool intact = true;  // false: the blob contradicts its format after these records
};
UnpackedGrowth unpack_growth(std::string_view blob, std::chrono::nanoseconds time);

}  // namespace memspy::recording

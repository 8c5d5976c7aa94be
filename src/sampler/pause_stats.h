// How long threads were held: a histogram in buckets of 5 %, so that percentiles cost no memory.
// Written by the tracer thread, read by the collector.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace memspy::sampler {

class PauseStats {
 public:
  void add(std::chrono::nanoseconds held);
  std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  std::chrono::nanoseconds total() const {
    return std::chrono::nanoseconds(total_ns_.load(std::memory_order_relaxed));
  }
  std::chrono::nanoseconds max() const {
    return std::chrono::nanoseconds(max_ns_.load(std::memory_order_relaxed));
  }
  // The upper end of the bucket that holds the quantile; 0 when nothing was added.
  std::chrono::nanoseconds quantile(double q) const;

 private:
  static constexpr std::size_t kBuckets = 400;  // 100 ns * 1.05^400 is about 30 s
  std::array<std::atomic<std::uint32_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::int64_t> total_ns_{0};
  std::atomic<std::int64_t> max_ns_{0};
};

}  // namespace memspy::sampler

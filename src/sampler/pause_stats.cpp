#include "sampler/pause_stats.h"

#include <algorithm>
#include <cmath>

namespace memspy::sampler {
namespace {

constexpr double kFirstBucketNs = 100;
constexpr double kGrowth = 1.05;

}  // namespace

void PauseStats::add(std::chrono::nanoseconds held) {
  const double ns = std::max<double>(static_cast<double>(held.count()), kFirstBucketNs);
  const auto bucket = static_cast<std::size_t>(std::log(ns / kFirstBucketNs) / std::log(kGrowth));
  buckets_[std::min(bucket, kBuckets - 1)].fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  total_ns_.fetch_add(held.count(), std::memory_order_relaxed);
  if (held.count() > max_ns_.load(std::memory_order_relaxed))
    max_ns_.store(held.count(), std::memory_order_relaxed);
}

std::chrono::nanoseconds PauseStats::quantile(double q) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count())));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets && wanted > 0; ++i) {
    seen += buckets_[i].load(std::memory_order_relaxed);
    if (seen < wanted) continue;
    const auto upper = std::chrono::nanoseconds(
        static_cast<std::int64_t>(kFirstBucketNs * std::pow(kGrowth, static_cast<double>(i + 1))));
    return std::min(upper, max());
  }
  return {};
}

}  // namespace memspy::sampler

#include "daemon/growth_gate.h"

#include <algorithm>

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kMemory = 30min;  // of peaks
constexpr auto kBucket = 1min;
constexpr auto kLongestPatience = 30min;

}  // namespace

std::uint64_t GrowthGate::peak(SteadyTime now) {
  while (!peaks_.empty() && now - peaks_.front().first > kMemory) peaks_.pop_front();
  std::uint64_t highest = 0;
  for (const auto& [since, bytes] : peaks_) highest = std::max(highest, bytes);
  return highest;
}

void GrowthGate::keep(SteadyTime now, std::uint64_t rss_bytes) {
  if (peaks_.empty() || now - peaks_.back().first >= kBucket) {
    peaks_.emplace_back(now, rss_bytes);
  } else {
    peaks_.back().second = std::max(peaks_.back().second, rss_bytes);
  }
}

void GrowthGate::resume(SteadyTime now, std::uint64_t rss_bytes) {
  seen_ = now - config_.settle;
  keep(now, rss_bytes);
  held_ = rss_bytes;
  last_step_ = now;
  patience_ = config_.calm;
  growing_ = true;
}

bool GrowthGate::update(SteadyTime now, std::uint64_t rss_bytes) {
  if (now - seen_ < config_.settle || peaks_.empty()) {
    keep(now, rss_bytes);
    held_ = std::max(held_, rss_bytes);
    return false;
  }
  // A slow leak must not carry its own reference along with it: between steps `held_` stands.
  held_ = std::min(held_, peak(now));
  const double share = config_.step_percent / 100 * static_cast<double>(held_);
  const auto step = std::max(config_.step_bytes, static_cast<std::uint64_t>(share));
  if (rss_bytes > held_ + step) {
    patience_ = last_step_ == SteadyTime{} ? config_.calm : 2 * (now - last_step_);
    patience_ = std::clamp<std::chrono::nanoseconds>(
        patience_, config_.calm,
        std::max<std::chrono::nanoseconds>(config_.calm, kLongestPatience));
    last_step_ = now;
    held_ = rss_bytes;
    growing_ = true;
  } else if (growing_ && now - last_step_ > patience_) {
    growing_ = false;
  }
  keep(now, rss_bytes);
  return growing_;
}

}  // namespace memspy::daemon

#include "cli/phase_progress.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/duration.h"

namespace memspy::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kRedraw = 100ms;
constexpr auto kWorthAnEstimate = 500ms;  // of work, before the rest is guessed from it
constexpr std::size_t kWidth = 20;

}  // namespace

std::string progress_line(const std::string& phase, double share, std::chrono::nanoseconds spent) {
  share = std::clamp(share, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(share * kWidth);
  std::string text = fmt::format("{:<24} [{}{}] {:3.0f} %", phase, std::string(full, '#'),
                                 std::string(kWidth - full, '-'), 100 * share);
  if (spent < kWorthAnEstimate || share <= 0) return text;
  const double left = to_seconds(spent) * (1 - share) / share;
  text +=
      fmt::format("  {} left",
                  format_duration(std::chrono::nanoseconds(static_cast<std::int64_t>(left * 1e9))));
  return text;
}

void PhaseProgress::show(const std::string& phase, double share) {
  if (!env_->err_terminal || env_->verbosity < 0) return;
  const SteadyTime now = env_->clock.now();
  const bool next = phase != phase_;
  if (next) {
    phase_ = phase;
    began_ = now;
  }
  if (shown_ && !next && now - drawn_ < kRedraw) return;
  drawn_ = now;
  env_->err << "\r\033[K" << progress_line(phase, share, now - began_) << std::flush;
  shown_ = true;
}

void PhaseProgress::clear() {
  if (shown_) env_->err << "\r\033[K" << std::flush;
  shown_ = false;
}

}  // namespace memspy::cli

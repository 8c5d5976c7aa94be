#include "cli/progress.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>

#include "base/byte_units.h"
#include "base/duration.h"

namespace memspy::cli {

void Progress::on_tick(std::chrono::nanoseconds time, const WatchSink& watch) {
  if (!env_->err_terminal || env_->verbosity < 0) return;
  std::string text = format_duration(time);
  if (duration_) text += " of " + format_duration(*duration_);
  if (const auto rss = watch.rss_bytes()) {
    const double grown = *rss - watch.first_rss_bytes().value_or(*rss);
    text += fmt::format(", RSS {} ({})", format_bytes(static_cast<std::uint64_t>(*rss)),
                        format_signed_bytes(std::llround(grown)));
  }
  env_->err << "\r\033[K" << text << std::flush;
  shown_ = true;
}

void Progress::clear() {
  if (shown_) env_->err << "\r\033[K" << std::flush;
  shown_ = false;
}

}  // namespace memspy::cli

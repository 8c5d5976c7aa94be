#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace memspy {

void init_logging(int verbosity, bool colour) {
  const auto mode = colour ? spdlog::color_mode::automatic : spdlog::color_mode::never;
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(mode);
  auto logger = std::make_shared<spdlog::logger>("memspy", std::move(sink));
  logger->set_pattern("memspy: %^%v%$");
  const auto level = verbosity < 0    ? spdlog::level::err
                     : verbosity == 0 ? spdlog::level::info
                     : verbosity == 1 ? spdlog::level::debug
                                      : spdlog::level::trace;
  logger->set_level(level);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace memspy

#include "cli/search_log.h"

#include "base/log.h"

namespace memspy::cli {

void log_search(const std::vector<cpython::LocatorAttempt>& attempts) {
  for (const auto& attempt : attempts)
    spdlog::debug("{}{} in {}: {}", attempt.won ? "won: " : "", attempt.method, attempt.file,
                  attempt.evidence);
}

}  // namespace memspy::cli

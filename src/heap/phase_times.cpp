#include "heap/phase_times.h"

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"

namespace memspy::heap {

std::string PhaseTimes::text() {
  begin("");
  std::string text;
  for (const auto& [name, took] : steps_) {
    if (!name.empty())
      text += fmt::format("{}{} {:.3f} s", text.empty() ? "" : ", ", name, to_seconds(took));
  }
  return text;
}

}  // namespace memspy::heap

#include "daemon/evidence_verdict.h"

#include <algorithm>
#include <sstream>

#include <spdlog/fmt/fmt.h>

#include "recording/text.h"

namespace memspy::daemon {
namespace {

constexpr std::size_t kMostQuoted = 3;

// Without what it quotes itself, which comes after an empty line.
std::string own_part(const std::string& text) {
  if (text.starts_with('\n')) return "";
  const auto end = text.find("\n\n");
  return end == std::string::npos ? text : text.substr(0, end + 1);
}

// The lines about its heap.
std::string look_of(const EarlierVerdict& earlier) {
  std::istringstream lines(own_part(earlier.text));
  std::string look;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("heap.json: ") || line.starts_with("live.memspy: ")) look += line + "\n";
  return look;
}

std::string source_of(const EarlierVerdict& earlier) {
  return fmt::format("{}, for the alert {} at {}", earlier.folder, earlier.alert,
                     recording::utc_time(earlier.time));
}

}  // namespace

std::string verdict_text(const std::string& own, const std::vector<EarlierVerdict>& earlier) {
  const auto last_look = std::find_if(earlier.begin(), earlier.end(),
                                      [](const auto& one) { return !look_of(one).empty(); });
  std::string text = own;
  if (last_look != earlier.end()) {
    text = look_of(*last_look) + own +
           fmt::format("\nThe last look at its heap is of {}\n", source_of(*last_look));
  }
  std::size_t quoted = 0;
  for (auto one = earlier.begin(); one != earlier.end() && quoted < kMostQuoted; ++one) {
    if (one == last_look) continue;
    text += fmt::format("\n{}:\n{}", source_of(*one), own_part(one->text));
    ++quoted;
  }
  return text;
}

std::string lead_of(const std::string& verdict_text) {
  std::istringstream lines(own_part(verdict_text));
  std::string lead;
  for (std::string line; std::getline(lines, line);) {
    for (const std::string_view name : {"heap.json: ", "live.memspy: "})
      if (line.starts_with(name)) lead = line.substr(name.size());
  }
  return lead;
}

}  // namespace memspy::daemon

#include "cli/output_name.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <ctime>

#include "cli/hints.h"

namespace memspy::cli {
namespace {

std::string time_text(std::chrono::nanoseconds wall_time) {
  const auto seconds =
      static_cast<std::time_t>(std::chrono::duration_cast<std::chrono::seconds>(wall_time).count());
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%S", &local);
  return {text.data(), length};
}

std::string file_safe(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool safe = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-';
    out += safe ? c : '_';
  }
  return out;
}

}  // namespace

Result<std::string> expand_output_name(std::string_view pattern, const NameFacts& facts) {
  std::string name;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      name += pattern[i];
      continue;
    }
    const char letter = ++i < pattern.size() ? pattern[i] : '\0';
    switch (letter) {
      case 'p': name += std::to_string(facts.pid); break;
      case 't': name += time_text(facts.wall_time); break;
      case 'h': name += file_safe(facts.host); break;
      case 'n': name += file_safe(facts.process); break;
      case '%': name += '%'; break;
      default:
        return usage_error(fmt::format("the output name \"{}\" has a % that means nothing", pattern),
                           "%p pid, %t time, %h host, %n name, %% a percent sign");
    }
  }
  return name;
}

bool names_pid(std::string_view pattern) {
  for (std::size_t i = 0; i + 1 < pattern.size(); ++i) {
    if (pattern[i] != '%') continue;
    if (pattern[i + 1] == 'p') return true;
    ++i;
  }
  return false;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

}  // namespace memspy::cli

#include "cli/arguments.h"

#include <algorithm>
#include <numeric>

#include "cli/hints.h"

namespace memspy::cli {
namespace {

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::vector<std::string>> take_command(std::vector<std::string>& args) {
  const auto dashes = std::find(args.begin(), args.end(), "--");
  if (dashes == args.end()) return std::nullopt;
  std::vector<std::string> command(dashes + 1, args.end());
  args.erase(dashes, args.end());
  return command;
}

std::optional<std::size_t> find_verb(const std::vector<std::string>& args) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--config") {
      ++i;
    } else if (args[i].empty() || args[i][0] != '-') {
      return i;
    }
  }
  return std::nullopt;
}

Result<std::string> complete_verb(std::string_view typed, const std::vector<std::string>& verbs) {
  std::vector<std::string> matches;
  for (const std::string& verb : verbs) {
    if (verb == typed) return verb;
    if (!typed.empty() && verb.starts_with(typed)) matches.push_back(verb);
  }
  if (matches.size() == 1) return matches.front();
  if (!matches.empty())
    return usage_error("the verb \"" + std::string(typed) + "\" is ambiguous",
                       "it could be " + join(matches), "one more letter");
  const auto near = nearest(typed, verbs);
  return usage_error("there is no verb \"" + std::string(typed) + "\"", "verbs are " + join(verbs),
                     near ? "memspy " + *near : "memspy --help");
}

std::optional<std::string> find_config(const std::vector<std::string>& args) {
  constexpr std::string_view kWithValue = "--config=";
  std::optional<std::string> found;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i].starts_with(kWithValue)) found = args[i].substr(kWithValue.size());
    if (args[i] == "--config" && i + 1 < args.size()) found = args[++i];
  }
  return found;
}

std::optional<std::string> nearest(std::string_view typed, const std::vector<std::string>& known) {
  std::optional<std::string> best;
  const std::size_t letters = typed.size() - std::min(typed.find_first_not_of('-'), typed.size());
  std::size_t best_distance = (letters + 2) / 3;  // further off is not a typing error
  for (const std::string& word : known) {
    const std::size_t distance = edit_distance(typed, word);
    if (distance > best_distance || (best && distance == best_distance)) continue;
    best = word;
    best_distance = distance;
  }
  return best;
}

}  // namespace memspy::cli

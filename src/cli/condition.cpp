#include "cli/condition.h"

#include <array>

#include "base/byte_units.h"
#include "base/duration.h"
#include "cli/hints.h"

namespace memspy::cli {
namespace {

constexpr std::chrono::seconds kRateWindow{60};

struct RateUnit {
  std::string_view name;
  double seconds;
};
constexpr std::array kRateUnits{RateUnit{"s", 1},     RateUnit{"sec", 1},    RateUnit{"m", 60},
                                RateUnit{"min", 60},  RateUnit{"h", 3600},   RateUnit{"hour", 3600},
                                RateUnit{"d", 86400}, RateUnit{"day", 86400}};

std::string without_blanks(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' && c != '\t') out += c;
  return out;
}

Error bad(std::string_view text, std::string why) {
  return usage_error("the condition \"" + std::string(text) + "\" makes no sense", std::move(why),
                     "rss>2GiB, growth>100MiB or growth>50MiB/min");
}

}  // namespace

Result<Condition> parse_condition(std::string_view text) {
  const std::string compact = without_blanks(text);
  const std::size_t op = compact.find_first_of("<>");
  if (op == std::string::npos) return bad(text, "there is no > or < in it");
  Condition condition;
  condition.text = compact;
  const std::string metric = compact.substr(0, op);
  if (metric == "growth") {
    condition.metric = Condition::Metric::kGrowth;
  } else if (metric != "rss") {
    return bad(text, "\"" + metric + "\" is not rss or growth");
  }
  condition.above = compact[op] == '>';
  std::size_t value_at = op + 1;
  condition.or_equal = value_at < compact.size() && compact[value_at] == '=';
  if (condition.or_equal) ++value_at;
  const std::size_t slash = compact.find('/', value_at);
  const auto bytes = parse_bytes(std::string_view(compact).substr(
      value_at, slash == std::string::npos ? slash : slash - value_at));
  if (!bytes.has_value()) return bad(text, bytes.error().message);
  condition.bytes = static_cast<double>(*bytes);
  if (slash == std::string::npos) return condition;
  if (condition.metric != Condition::Metric::kGrowth) return bad(text, "only growth has a rate");
  const std::string_view unit = std::string_view(compact).substr(slash + 1);
  for (const RateUnit& known : kRateUnits)
    if (known.name == unit) condition.per_seconds = known.seconds;
  if (!condition.per_seconds)
    return bad(text, "\"" + std::string(unit) + "\" is not s, min, h or day");
  return condition;
}

std::optional<double> ConditionWatch::measure(std::chrono::nanoseconds time,
                                              double rss_bytes) const {
  if (condition_.metric == Condition::Metric::kRss) return rss_bytes;
  if (!condition_.per_seconds) return rss_bytes - *first_rss_;
  const auto& [since, rss_then] = window_.front();
  if (time - since < kShortestRate) return std::nullopt;
  return (rss_bytes - rss_then) / to_seconds(time - since) * *condition_.per_seconds;
}

bool ConditionWatch::update(std::chrono::nanoseconds time, double rss_bytes) {
  if (!first_rss_) first_rss_ = rss_bytes;
  window_.emplace_back(time, rss_bytes);
  while (window_.size() > 2 && time - window_.front().first > kRateWindow) window_.pop_front();
  const std::optional<double> value = measure(time, rss_bytes);
  if (!value) return false;
  if (condition_.or_equal && *value == condition_.bytes) return true;
  return condition_.above ? *value > condition_.bytes : *value < condition_.bytes;
}

}  // namespace memspy::cli

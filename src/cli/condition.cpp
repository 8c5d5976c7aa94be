#include "cli/condition.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/byte_units.h"
#include "base/duration.h"
#include "cli/hints.h"

namespace memspy::cli {
namespace {

std::string without_blanks(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' && c != '\t') out += c;
  return out;
}

Error bad(std::string_view text, std::string why) {
  return usage_error("the condition \"" + std::string(text) + "\" makes no sense", std::move(why),
                     text.find("allocating") == std::string_view::npos
                         ? "rss>2GiB, growth>100MiB or growth>50MiB/min"
                         : "allocating>30% or allocating.change>5%");
}

struct NamedMetric {
  std::string_view name;
  Condition::Metric metric;
  bool of_a_process;
};
constexpr std::array kMetrics{
    NamedMetric{"rss", Condition::Metric::kRss, true},
    NamedMetric{"growth", Condition::Metric::kGrowth, true},
    NamedMetric{"heap.bytes", Condition::Metric::kHeapBytes, false},
    NamedMetric{"heap.objects", Condition::Metric::kHeapObjects, false},
    NamedMetric{"allocating", Condition::Metric::kAllocating, false},
    NamedMetric{"allocating.change", Condition::Metric::kAllocatingChange, false},
};

const NamedMetric* find_metric(std::string_view name, ConditionUse use) {
  for (const NamedMetric& known : kMetrics)
    if (known.name == name && (known.of_a_process || use == ConditionUse::kComparison))
      return &known;
  return nullptr;
}

std::string metric_names(ConditionUse use) {
  return use == ConditionUse::kProcess ? "rss or growth"
                                       : "growth, rss, heap.bytes, heap.objects, allocating or "
                                         "allocating.change";
}

std::string unknown_metric(const std::string& name, ConditionUse use) {
  std::string text = "\"" + name + "\" is not " + metric_names(use);
  if (find_metric(name, ConditionUse::kComparison) != nullptr)
    text += "; memspy diff A B takes it, of two recordings or snapshots";
  return text;
}

std::optional<double> parse_finite(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

// "200000", "5e6"; objects have no unit.
Result<double> parse_objects(std::string_view text) {
  const auto value = parse_finite(text);
  if (value && *value >= 0) return *value;
  return make_error(Errc::kUsage, "\"" + std::string(text) + "\" is not a number of objects");
}

// "30%"; a change may be one to less.
Result<double> parse_share(std::string_view text, double least) {
  if (text.ends_with('%')) {
    const auto value = parse_finite(text.substr(0, text.size() - 1));
    if (value && *value >= least && *value <= 100) return *value / 100;
  }
  return make_error(Errc::kUsage, "\"" + std::string(text) + "\" is not a percentage, as 30%");
}

Result<double> parse_value(Condition::Metric metric, std::string_view text) {
  if (metric == Condition::Metric::kHeapObjects) return parse_objects(text);
  if (metric == Condition::Metric::kAllocating) return parse_share(text, 0);
  if (metric == Condition::Metric::kAllocatingChange) return parse_share(text, -100);
  MEMSPY_TRY(bytes, parse_bytes(text));
  return static_cast<double>(bytes);
}

}  // namespace

Result<Condition> parse_condition(std::string_view text, ConditionUse use) {
  const std::string compact = without_blanks(text);
  const std::size_t op = compact.find_first_of("<>");
  if (op == std::string::npos) return bad(text, "there is no > or < in it");
  Condition condition;
  condition.text = compact;
  const std::string name = compact.substr(0, op);
  const NamedMetric* metric = find_metric(name, use);
  if (metric == nullptr) return bad(text, unknown_metric(name, use));
  condition.metric = metric->metric;
  condition.above = compact[op] == '>';
  std::size_t value_at = op + 1;
  condition.or_equal = value_at < compact.size() && compact[value_at] == '=';
  if (condition.or_equal) ++value_at;
  const std::size_t slash = compact.find('/', value_at);
  const auto value = parse_value(
      condition.metric, std::string_view(compact).substr(
                            value_at, slash == std::string::npos ? slash : slash - value_at));
  if (!value.has_value()) return bad(text, value.error().message);
  condition.limit = *value;
  if (slash == std::string::npos) return condition;
  if (condition.metric != Condition::Metric::kGrowth) return bad(text, "only growth has a rate");
  const std::string unit = compact.substr(slash + 1);
  condition.per_seconds = rate_seconds(unit);
  if (!condition.per_seconds) return bad(text, "\"" + unit + "\" is not s, min, h or day");
  return condition;
}

bool holds_for(const Condition& condition, double value) {
  if (condition.or_equal && value == condition.limit) return true;
  return condition.above ? value > condition.limit : value < condition.limit;
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
  return value && holds_for(condition_, *value);
}

}  // namespace memspy::cli

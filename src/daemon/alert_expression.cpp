#include "daemon/alert_expression.h"

#include <array>
#include <charconv>
#include <vector>

#include "base/byte_units.h"
#include "base/duration.h"

namespace memspy::daemon {
namespace {

using Metric = AlertExpression::Metric;
using Form = AlertExpression::Form;

struct Named {
  std::string_view name;
  Metric metric;
  std::optional<double> AlertFigures::*value;
  std::optional<double> AlertFigures::*rate;  // per minute; nullptr: none is known
  bool bytes;
};
constexpr std::array kMetrics{
    Named{"rss", Metric::kRss, &AlertFigures::rss, &AlertFigures::growth_per_minute, true},
    Named{"pss", Metric::kPss, &AlertFigures::pss, nullptr, true},
    Named{"uss", Metric::kUss, &AlertFigures::uss, nullptr, true},
    Named{"swap", Metric::kSwap, &AlertFigures::swap, nullptr, true},
    Named{"cgroup", Metric::kCgroup, &AlertFigures::usage, &AlertFigures::usage_growth_per_minute,
          true},
    Named{"heap.used", Metric::kHeapUsed, &AlertFigures::heap_used,
          &AlertFigures::heap_growth_per_minute, true},
    Named{"heap.objects", Metric::kHeapObjects, &AlertFigures::heap_objects,
          &AlertFigures::objects_growth_per_minute, false},
    Named{"threads", Metric::kThreads, &AlertFigures::threads, nullptr, false},
    Named{"open_files", Metric::kOpenFiles, &AlertFigures::open_files, nullptr, false},
};

const Named* find_metric(std::string_view name) {
  for (const Named& named : kMetrics)
    if (named.name == name) return &named;
  return nullptr;
}

const Named& named(Metric metric) {
  for (const Named& each : kMetrics)
    if (each.metric == metric) return each;
  return kMetrics.front();
}

// Words and operators: "rss>80%" is "rss", ">", "80%".
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || c == '\t') {
      end_word();
    } else if (c == '<' || c == '>') {
      end_word();
      const bool equal = i + 1 < text.size() && text[i + 1] == '=';
      words.push_back(equal ? std::string{c, '='} : std::string{c});
      i += equal ? 1 : 0;
    } else {
      word += c;
    }
  }
  end_word();
  return words;
}

std::optional<double> plain_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0))
    return std::nullopt;
  return value;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : words_(words_of(text)) { out_.text = text; }

  Result<AlertExpression> parse() {
    MEMSPY_CHECK(take_metric());
    MEMSPY_CHECK(take_operator());
    MEMSPY_CHECK(take_bound());
    if (peek() == "for") {
      ++at_;
      MEMSPY_TRY(hold, take_duration("a time after \"for\", as in \"for 5m\""));
      out_.hold = hold;
    }
    if (at_ < words_.size()) return bad("nothing more");
    return out_;
  }

 private:
  std::string peek() const { return at_ < words_.size() ? words_[at_] : ""; }
  Error bad(const std::string& wanted) const {
    Error error = make_error(Errc::kUsage, "the alert \"" + out_.text + "\" makes no sense");
    error.why = (at_ < words_.size() ? "at \"" + words_[at_] + "\"" : std::string("at its end")) +
                " there should be " + wanted;
    error.hint =
        "rss > 500MiB, rss > 80% of limit for 1m, growth > 50MiB/min for 5m, limit in < 15m";
    return error;
  }

  Result<Unit> take_metric() {
    const std::string word = peek();
    if (word == "growth") {  // of RSS
      ++at_;
      out_.form = Form::kRate;
      return Unit{};
    }
    if (word == "limit") {
      ++at_;
      if (peek() != "in") return bad("\"in\", as in \"limit in < 15m\"");
      ++at_;
      out_.metric = Metric::kLimitIn;
      return Unit{};
    }
    const Named* found = find_metric(word);
    if (found == nullptr)
      return bad(
          "rss, pss, uss, swap, cgroup, heap.used, heap.objects, threads, open_files, growth or "
          "\"limit in\"");
    out_.metric = found->metric;
    ++at_;
    if (peek() != "growth") return Unit{};
    if (found->rate == nullptr)
      return bad("> or <: only rss, cgroup, heap.used and heap.objects have a growth");
    out_.form = Form::kRate;
    ++at_;
    return Unit{};
  }

  Result<Unit> take_operator() {
    const std::string word = peek();
    if (word.empty() || (word[0] != '<' && word[0] != '>')) return bad("> or <");
    out_.above = word[0] == '>';
    out_.or_equal = word.size() > 1;
    ++at_;
    return Unit{};
  }

  Result<std::chrono::nanoseconds> take_duration(const std::string& wanted) {
    const auto time = parse_duration(peek(), /*bare_seconds=*/false);
    if (!time.has_value()) return bad(wanted);
    ++at_;
    return *time;
  }

  Result<Unit> take_bound() {
    if (out_.metric == Metric::kLimitIn) {
      MEMSPY_TRY(time, take_duration("a time, as 15m"));
      out_.bound = to_seconds(time);
      return Unit{};
    }
    if (out_.form == Form::kRate) return take_rate();
    if (peek().ends_with('%')) return take_share();
    const bool bytes = named(out_.metric).bytes;
    return take_amount(peek(), bytes, bytes ? "a size, as 500MiB" : "a number");
  }

  Result<Unit> take_amount(const std::string& word, bool bytes, const std::string& wanted) {
    if (bytes) {
      const auto size = parse_bytes(word);
      if (!size.has_value()) return bad(wanted);
      out_.bound = static_cast<double>(*size);
    } else {
      const auto number = plain_number(word);
      if (!number) return bad(wanted);
      out_.bound = *number;
    }
    ++at_;
    return Unit{};
  }

  Result<Unit> take_share() {
    const std::string word = peek();
    const auto percent = plain_number(std::string_view(word).substr(0, word.size() - 1));
    if (!percent || !named(out_.metric).bytes) return bad("a size, as 500MiB, or 80% of limit");
    ++at_;
    for (const char* wanted : {"of", "limit"}) {
      if (peek() != wanted) return bad("\"of limit\"");
      ++at_;
    }
    out_.form = Form::kShareOfLimit;
    out_.bound = *percent / 100;
    return Unit{};
  }

  Result<Unit> take_rate() {
    const std::string word = peek();
    const auto slash = word.find('/');
    const auto unit = rate_seconds(
        slash == std::string::npos ? std::string_view() : std::string_view(word).substr(slash + 1));
    const bool bytes = named(out_.metric).bytes;
    const std::string wanted = bytes ? "a rate, as 50MiB/min" : "a rate, as 1e6/min";
    if (!unit) return bad(wanted);
    MEMSPY_CHECK(take_amount(word.substr(0, slash), bytes, wanted));
    constexpr double kMinute = 60;  // figures have their growth by it
    out_.bound *= kMinute / *unit;
    return Unit{};
  }

  std::vector<std::string> words_;
  std::size_t at_ = 0;
  AlertExpression out_;
};

}  // namespace

// A worker's RSS says little of a group that all workers fill.
std::optional<double> seconds_to_limit(const AlertFigures& figures) {
  const auto& used = figures.usage ? figures.usage : figures.rss;
  const auto& rate = figures.usage && figures.usage_growth_per_minute
                         ? figures.usage_growth_per_minute
                         : figures.growth_per_minute;
  if (!figures.limit || !used || !rate || *rate <= 0) return std::nullopt;
  const double left = *figures.limit - *used;
  return left <= 0 ? 0 : left / *rate * 60;
}

Result<AlertExpression> parse_alert(std::string_view text) { return Parser(text).parse(); }

std::optional<double> measure(const AlertExpression& expression, const AlertFigures& figures) {
  if (expression.metric == Metric::kLimitIn) return seconds_to_limit(figures);
  const Named& metric = named(expression.metric);
  if (expression.form == Form::kRate) return figures.*metric.rate;
  const auto& value = figures.*metric.value;
  if (expression.form == Form::kValue || !value) return value;
  if (!figures.limit || *figures.limit <= 0) return std::nullopt;
  return *value / *figures.limit;
}

std::optional<bool> holds(const AlertExpression& expression, const AlertFigures& figures) {
  const auto value = measure(expression, figures);
  if (!value) return std::nullopt;
  if (expression.or_equal && *value == expression.bound) return true;
  return expression.above ? *value > expression.bound : *value < expression.bound;
}

}  // namespace memspy::daemon

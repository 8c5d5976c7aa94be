#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"
#include "recording/text.h"
#include "report/caller.h"
#include "report/display.h"
#include "report/figures.h"
#include "report/groups.h"
#include "report/verdict_parts.h"

namespace memspy::report {
namespace {

using recording::Profile;

constexpr std::uint64_t kSteadyRssBytes = 1 << 20;  // less is no growth to explain
constexpr double kSteadyShare = 0.01;               // of the RSS at the start
constexpr std::size_t kNextGrowers = 2;

}  // namespace

// A library is seldom what can be changed: who called it is said too, where that is one line.
std::string with_caller(const recording::ShapedProfile& shaped, const Group& function,
                        std::string name) {
  const auto caller = find_caller(shaped, function);
  if (!caller) return name;
  const double share = static_cast<double>(caller->bytes) / static_cast<double>(function.own);
  if (share < 0.5) return name;
  if (name.ends_with(',')) name.pop_back();
  return fmt::format("{},{} for {},", name, share < 0.9 ? " mostly" : "", caller->text);
}

// A function whose growth stands on one line is named by the line, else by itself.
Charges charges(const recording::ShapedProfile& shaped) {
  const Groups lines = group_stacks(shaped, GroupBy::kLine, ChargeTo::kInnermostPython);
  const Groups functions = group_stacks(shaped, GroupBy::kFunction, ChargeTo::kInnermostPython);
  Charges found;
  std::vector<Culprit>& out = found.culprits;
  for (const auto& function : functions.rows) {
    if (function.name == kInheritedByFork) {
      found.inherited_bytes += function.own;
      continue;
    }
    if (function.own == 0 || function.name == recording::kUnattributed) continue;
    const auto top = std::find_if(lines.rows.begin(), lines.rows.end(), [&](const Group& line) {
      return line.function == function.function && line.file == function.file;
    });
    const std::string name = recording::escape_text(function.name);
    if (top == lines.rows.end() || top->line == 0) {
      out.push_back({name, function.own});
    } else if (static_cast<double>(top->own) >= 0.8 * static_cast<double>(function.own)) {
      out.push_back({recording::escape_text(top->name), top->own});
    } else {
      out.push_back({fmt::format("{}, most of it at line {},", name, top->line), function.own});
    }
    if (out.size() <= 1 + kNextGrowers)  // more are not told
      out.back().text = with_caller(shaped, function, std::move(out.back().text));
  }
  return found;
}

std::string next_culprits(const std::vector<Culprit>& culprits, std::uint64_t total,
                          std::size_t count) {
  const auto whole = static_cast<double>(total);
  std::string text;
  for (std::size_t i = 1; i < culprits.size() && i <= count; ++i) {
    const auto amount = static_cast<double>(culprits[i].amount);
    if (amount >= kNextShare * whole)
      text += fmt::format("; {} {}", culprits[i].text, percent(amount, whole));
  }
  return text;
}

recording::StackShape by_lines(recording::StackShape shape) {
  shape.processes = shape.threads = shape.functions = shape.no_lines = false;
  return shape;
}

namespace {

// A rate of less than a minute would say more than was seen.
std::string pace(const RunFigures& f, std::uint64_t growth_bytes) {
  if (f.minutes() < 1) return " in " + format_duration(f.duration);
  const double rate = static_cast<double>(growth_bytes) / f.minutes();
  return fmt::format(" ({}/min)", format_bytes(static_cast<std::uint64_t>(rate)));
}

// Where the run shows it: what grows from its beginning may have grown for days.
std::string since(const Profile& profile) {
  const auto start = recording::growth_start_of(profile);
  if (!start) return "";
  const std::string time = recording::utc_time(profile.header.wall_start + start->time);
  constexpr std::size_t kDate = 10, kClock = 8;  // characters
  const std::string end = recording::utc_time(profile.header.wall_start + profile.last_time);
  const bool today = time.substr(0, kDate) == end.substr(0, kDate);
  return fmt::format("; RSS has grown since {}{} UTC, for {}, by {}/min",
                     today ? "" : time.substr(0, kDate) + " ", time.substr(kDate + 1, kClock),
                     format_duration(profile.last_time - start->time),
                     format_bytes(static_cast<std::uint64_t>(start->bytes_per_minute)));
}

// Of the run, whoever saw it.
double steady_limit(const RunFigures& f) {
  return std::max<double>(kSteadyRssBytes, kSteadyShare * static_cast<double>(f.rss_start_bytes));
}

// A large process that moves little in a short window may still be on its way.
bool is_growth(double bytes, const RunFigures& f) {
  return bytes >= kSteadyRssBytes &&
         std::max(bytes, bytes / std::max(f.minutes(), 1e-6)) >= steady_limit(f);
}

// Freed memory that is filled again does not show in RSS.
std::string steady(const RunFigures& f) {
  std::string text = fmt::format("steady: RSS moved by {} in {}",
                                 format_signed_bytes(f.rss_change()), format_duration(f.duration));
  if (f.growth_bytes > kSteadyRssBytes && f.shrink_bytes > kSteadyRssBytes) {
    text += fmt::format("; {} grew while {} was given back", format_bytes(f.growth_bytes),
                        format_bytes(f.shrink_bytes));
  }
  return text + "; whether the heap fills what was freed, --mode live tells";
}

// What is to be known besides of a growth of which so many bytes were inherited.
std::string other_parts(const RunFigures& f, std::uint64_t inherited) {
  std::string text;
  const auto rest = static_cast<double>(f.unattributed_bytes);
  const auto growth = static_cast<double>(f.growth_bytes - inherited);
  if (rest > kNextShare * growth && 2 * rest <= growth)
    text += fmt::format("; {} is unattributed", percent(rest, growth));
  if (inherited > kSteadyRssBytes)
    text += fmt::format("; {} besides came with forked children, which share it with their parent",
                        format_bytes(inherited));
  if (f.shrink_bytes > kSteadyRssBytes && f.shrink_bytes > f.growth_bytes / 10)
    text += fmt::format("; {} was given back meanwhile", format_bytes(f.shrink_bytes));
  return text;
}

// The daemon's tracers come once something grows: RSS, which is always looked at, has the rest.
std::string untraced(const RunFigures& f) {
  if (f.untraced_growth_bytes == 0) return "";
  return fmt::format("; {} more grew while it was not traced",
                     format_bytes(f.untraced_growth_bytes));
}

// Which of the two has touched a page is not known of a poll.
const char* deed(const Profile& profile) {
  return profile.header.engine == "poll" ? "was running for" : "first touched";
}

// Of growth that is mostly known by RSS alone.
std::string untraced_verdict(const Profile& profile, const recording::StackShape& shape,
                             const RunFigures& f) {
  const std::uint64_t total = f.growth_bytes + f.untraced_growth_bytes;
  std::string text = fmt::format("RSS grew by {}{}, and ", format_bytes(total), pace(f, total));
  if (f.growth_bytes < kSteadyRssBytes) {
    text += "was not traced: no stack tells why";
  } else {
    text += fmt::format(
        "{} of that was not traced: no stack tells why",
        percent(static_cast<double>(f.untraced_growth_bytes), static_cast<double>(total)));
    const auto found = charges(recording::shape_stacks(profile, by_lines(shape))).culprits;
    if (!found.empty())
      text += fmt::format("; {} {} {} of the rest", found[0].text, deed(profile),
                          percent(static_cast<double>(found[0].amount),
                                  static_cast<double>(f.growth_bytes))) +
              next_culprits(found, f.growth_bytes, kNextGrowers);
  }
  const auto grower = recording::main_grower(profile.points);
  const auto* process = grower ? profile.find_process(*grower) : nullptr;
  if (profile.processes.size() > 1 && process != nullptr)
    text += fmt::format("; pid {} ({}) grew most", process->identity.pid.value,
                        recording::escape_text(process->name));
  return text + since(profile);
}

std::string shrank(const RunFigures& f) {
  const bool traced = f.shrink_bytes >= f.untraced_shrink_bytes;
  const std::string fall = fmt::format(
      "shrank: RSS fell by {} in {}",
      format_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(-f.rss_change(), 0))),
      format_duration(f.duration));
  if (!traced) return fall + "; it was not traced";
  return fmt::format("{}; {} grew and {} was given back", fall, format_bytes(f.growth_bytes),
                     format_bytes(f.shrink_bytes));
}

}  // namespace

std::string verdict(const Profile& profile, const recording::StackShape& shape,
                    recording::Amount amount) {
  if (amount == recording::Amount::kTemporary) return temporary_verdict(profile, shape);
  if (profile.header.mode == "live") return live_verdict(profile, shape);
  if (profile.measure() == recording::Measure::kMicroseconds) return alloc_verdict(profile, shape);
  const RunFigures f = run_figures(profile);
  if (f.untraced_growth_bytes > f.growth_bytes &&
      is_growth(static_cast<double>(f.untraced_growth_bytes), f))
    return untraced_verdict(profile, shape, f);
  const auto moved = static_cast<double>(f.rss_change());
  if (-moved >= steady_limit(f)) return shrank(f);
  if (!is_growth(moved, f)) return steady(f);
  const auto [found, inherited_bytes] = charges(recording::shape_stacks(profile, by_lines(shape)));
  const std::uint64_t inherited = std::min(inherited_bytes, f.growth_bytes);
  const std::uint64_t grown = f.growth_bytes - inherited;
  if (inherited > 0 && grown < kSteadyRssBytes) {
    return fmt::format(
        "steady but for forks: {} came with forked children, which share it with "
        "their parent until one of them writes to it",
        format_bytes(inherited));
  }
  const char* did = deed(profile);
  const auto share = [&](std::uint64_t bytes) {
    return percent(static_cast<double>(bytes), static_cast<double>(grown));
  };
  if (found.empty() || 2 * f.unattributed_bytes > grown) {
    std::string text =
        fmt::format("mostly unattributed: no stack explains {} of {} growth{}",
                    share(f.unattributed_bytes), format_bytes(grown), pace(f, grown));
    if (!found.empty())
      text += fmt::format("; {} {} {}", found[0].text, did, share(found[0].amount));
    return text + other_parts(f, inherited) + untraced(f) + since(profile);
  }
  std::string text = fmt::format("{} {} {} of {} growth{}", found[0].text, did,
                                 share(found[0].amount), format_bytes(grown), pace(f, grown));
  text += next_culprits(found, grown, kNextGrowers);
  return text + other_parts(f, inherited) + untraced(f) + since(profile);
}

}  // namespace memspy::report

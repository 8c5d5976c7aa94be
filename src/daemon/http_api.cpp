#include "daemon/http_api.h"

#include <algorithm>
#include <sstream>

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "daemon/merged_window.h"
#include "daemon/metrics.h"
#include "daemon/recorded_window.h"
#include "daemon/secret_file.h"
#include "sinks/page.h"
#include "sinks/sink_registry.h"

namespace memspy::daemon {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr auto kLongestSilence = 30s;  // of a loop that is well, whatever the interval
constexpr std::size_t kShortestToken = 16;
constexpr const char* kJsonType = "application/json";
constexpr const char* kPageType = "text/html; charset=utf-8";
constexpr auto kLongestPage = 6h;
constexpr auto kPagePatience = 1s;  // for the pages of others: whoever asks for health waits behind

constexpr const char* kPaths =
    "memspy daemon\n\n"
    "/\n/healthz\n/metrics\n/targets\n"
    "/targets/PID/html?seconds=300\n"
    "/targets/PID/page?seconds=300\n"
    "/targets/PID/series?seconds=300&format=csv|jsonl\n"
    "/targets/PID/flamegraph?seconds=300\n"
    "/targets/PID/pprof?seconds=300\n";

HttpAnswer text_answer(int status, std::string text) {
  return {status, "text/plain", std::move(text), "", ""};
}

HttpAnswer json_answer(const Json& json) {
  return {200, kJsonType, json_text(json) + "\n", "", ""};
}

// A form of the window, and the type that its readers expect.
struct View {
  const char* format;
  const char* type;
  const char* suffix;
};

HttpAnswer written(const recording::Profile& profile, const View& view, Pid pid) {
  const sinks::Format* format = sinks::find_format(view.format);
  std::ostringstream out;
  sinks::FormatOptions options;
  if (format == nullptr || !format->write(profile, options, out).has_value())
    return text_answer(500, "it cannot be written\n");
  return {200, view.type, std::move(out).str(), fmt::format("memspy-{}{}", pid.value, view.suffix),
          ""};
}

const TargetStatus* find_target(const DaemonStatus& status, const std::string& part) {
  const auto pid = http_number(part);
  if (!pid) return nullptr;
  for (const TargetStatus& target : status.targets)
    if (target.facts->identity.pid.value == *pid) return &target;
  return nullptr;
}

bool is_loopback_name(const std::string& host) {
  return host.empty() || host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

HttpAnswer dashboard() {
  HttpAnswer answer{200, kPageType, sinks::dashboard_page(), "", ""};
  answer.policy = sinks::page_policy(answer.body);
  return answer;
}

}  // namespace

HttpAnswer HttpApi::refusal(const HttpRequest& request) const {
  // A page of the internet whose name was made to mean 127.0.0.1 still says its own name.
  if (options_.token.empty() && options_.loopback && !is_loopback_name(request.host))
    return text_answer(403, "this is asked as 127.0.0.1 or localhost\n");
  if (options_.token.empty()) return {};
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view given = request.authorization;
  if (given.starts_with(kBearer) && same_secret(given.substr(kBearer.size()), options_.token))
    return {};
  return text_answer(401, "a token is needed: Authorization: Bearer TOKEN\n");
}

HttpAnswer HttpApi::health() const {
  const auto status = board_.latest();
  const auto age = std::chrono::steady_clock::now() - status->published;
  Json json = {{"schema", "memspy.health/1"}, {"ok", true}, {"age_seconds", to_seconds(age)}};
  HttpAnswer answer;
  if (age > std::max<nanoseconds>(kLongestSilence, 3 * status->interval)) {
    json["ok"] = false;
    answer.status = 503;
  }
  answer.type = kJsonType;
  answer.body = json_text(json) + "\n";
  return answer;
}

// `data_only`: what the dashboard asks for, and has the rest of already.
HttpAnswer HttpApi::answer_page(const ProcessIdentity& target, WallWindow window,
                                bool data_only) const {
  const std::unique_lock turn(making_page_, kPagePatience);
  if (!turn.owns_lock()) return text_answer(503, "other pages are being made\n");
  // What was kept of days is for files: a page of it would cost the memory of many targets.
  window.from = std::max<nanoseconds>(window.from, window.to - kLongestPage);
  const auto profile = load_window(options_.state_dir, target, window);
  if (!profile.has_value()) return text_answer(500, "what is recorded cannot be read\n");
  sinks::PageParts parts;
  parts.run = &*profile;
  parts.options.words = options_.words;
  if (options_.history != nullptr) parts.alerts = options_.history->of(target, window);
  HttpAnswer answer;
  if (data_only) {
    answer.type = kJsonType;
    answer.body = sinks::page_json(parts);
    return answer;
  }
  std::ostringstream out;
  if (!sinks::write_page(parts, out).has_value()) return text_answer(500, "it cannot be written\n");
  answer.type = kPageType;
  answer.body = std::move(out).str();
  answer.policy = sinks::page_policy(answer.body);
  answer.file_name = fmt::format("memspy-{}.html", target.pid.value);
  return answer;
}

HttpAnswer HttpApi::answer_target(const HttpRequest& request) const {
  const auto status = board_.latest();
  const TargetStatus* target = find_target(*status, request.path[1]);
  if (target == nullptr) return text_answer(404, "no target has this PID\n");
  const ProcessIdentity& identity = target->facts->identity;
  const auto query = [&](const char* key, const char* otherwise) {
    const auto it = request.query.find(key);
    return it == request.query.end() ? std::string(otherwise) : it->second;
  };
  const auto seconds = http_number(query("seconds", "300"));
  if (!seconds || *seconds == 0) return text_answer(400, "seconds is no number of seconds\n");
  const nanoseconds to = wall_now_();
  const auto length =
      std::min<nanoseconds>(std::chrono::seconds(*seconds), options_.longest_window);
  const WallWindow window{to - length, to};
  const std::string& what = request.path[2];
  if (what == "html" || what == "page") return answer_page(identity, window, what == "page");
  const std::string format = query("format", "csv");
  const bool series = what == "series";
  std::optional<View> view;
  if (series && format == "csv") view = {"csv", "text/csv; charset=utf-8", ".csv"};
  if (series && format == "jsonl") view = {"jsonl", "application/x-ndjson", ".jsonl"};
  if (what == "flamegraph") view = {"folded", "text/plain; charset=utf-8", ".folded"};
  if (what == "pprof") view = {"pprof", "application/octet-stream", ".pb.gz"};
  if (!view)
    return series ? text_answer(400, "format is csv or jsonl\n") : text_answer(404, kPaths);
  const auto profile = series ? load_series(options_.state_dir, identity, window)
                              : load_growth(options_.state_dir, identity, window);
  if (!profile.has_value()) return text_answer(500, "what is recorded cannot be read\n");
  return written(*profile, *view, identity.pid);
}

HttpAnswer HttpApi::answer(const HttpRequest& request) const {
  const auto& path = request.path;
  if (path.size() == 1 && path[0] == "healthz") return health();  // says nothing of anybody
  HttpAnswer refused = refusal(request);
  // The dashboard without data says nothing of anybody either, and asks its reader for the token.
  if (path.empty() && (refused.status == 200 || refused.status == 401)) return dashboard();
  if (refused.status != 200) return refused;
  if (path.size() == 1 && path[0] == "metrics")
    return {200, kMetricsType, metrics_text(*board_.latest()), "", ""};
  if (path.size() == 1 && path[0] == "targets")
    return json_answer(targets_json(*board_.latest(), /*with_commands=*/false));
  if (path.size() == 3 && path[0] == "targets") return answer_target(request);
  return text_answer(404, kPaths);
}

Result<std::string> read_token(const std::string& path) {
  auto secret = read_secret(path);
  if (!secret.has_value()) return make_error(Errc::kUsage, describe(secret.error()));
  std::string token = std::move(*secret);
  if (token.size() < kShortestToken)
    return make_error(Errc::kUsage, "the token " + path + " has less than 16 characters");
  return token;
}

}  // namespace memspy::daemon

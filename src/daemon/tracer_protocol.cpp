#include "daemon/tracer_protocol.h"

#include <array>
#include <utility>

#include "daemon/json.h"

namespace memspy::daemon {
namespace {

using std::chrono::nanoseconds;

constexpr std::array kKinds{"started", "status", "ended", "refused"};

struct Figure {
  const char* name;
  std::optional<double> TracerNews::*value;
};
constexpr std::array kFigures{
    Figure{"samples", &TracerNews::samples},
    Figure{"rejected", &TracerNews::rejected},
    Figure{"stopped_seconds", &TracerNews::stopped_seconds},
    Figure{"attributed_bytes", &TracerNews::attributed_bytes},
    Figure{"unattributed_bytes", &TracerNews::unattributed_bytes},
    Figure{"heap_used_bytes", &TracerNews::heap_used_bytes},
    Figure{"heap_free_bytes", &TracerNews::heap_free_bytes},
    Figure{"heap_arena_bytes", &TracerNews::heap_arena_bytes},
    Figure{"heap_blocks", &TracerNews::heap_blocks},
};
constexpr std::array kCollections{"gc0_collections", "gc1_collections", "gc2_collections"};

}  // namespace

std::string order_line(const TracerOrder& order) {
  Json json;
  json["pid"] = order.target.pid.value;
  json["start_ticks"] = order.target.start_ticks;
  json["folder"] = order.folder;
  json["interval_ns"] = order.interval.count();
  json["segment_ns"] = order.segment.count();
  json["segment_bytes"] = order.segment_bytes;
  json["stopped_percent"] = order.stopped_percent;
  return json_text(json) + '\n';
}

Result<TracerOrder> parse_order(const std::string& line) {
  const Json json = parse_json(line);
  const auto pid = member<pid_t>(json, "pid");
  const auto start = member<std::uint64_t>(json, "start_ticks");
  const auto folder = member<std::string>(json, "folder");
  if (!pid || *pid <= 0 || !start || !folder)
    return make_error(Errc::kUsage, "this is no order for a tracer");
  TracerOrder order;
  order.target = {Pid{*pid}, *start};
  order.folder = *folder;
  const auto time = [&](const char* key, nanoseconds& out) {
    if (const auto value = member<std::int64_t>(json, key); value && *value > 0)
      out = nanoseconds(*value);
  };
  time("interval_ns", order.interval);
  time("segment_ns", order.segment);
  order.segment_bytes = member<std::uint64_t>(json, "segment_bytes").value_or(order.segment_bytes);
  order.stopped_percent = member<double>(json, "stopped_percent").value_or(order.stopped_percent);
  return order;
}

std::string news_line(const TracerNews& news) {
  Json json;
  json["event"] = kKinds[static_cast<std::size_t>(news.kind)];
  const auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  text("engine", news.engine);
  text("reason", news.reason);
  text("message", news.message);
  text("trouble", news.trouble);
  for (const Figure& figure : kFigures)
    if (const auto& value = news.*figure.value) json[figure.name] = *value;
  for (std::size_t i = 0; i < kCollections.size(); ++i)
    if (const auto& value = news.collections[i]) json[kCollections[i]] = *value;
  return json_text(json) + '\n';
}

Result<TracerNews> parse_news(const std::string& line) {
  const Json json = parse_json(line);
  const auto event = member<std::string>(json, "event");
  TracerNews news;
  std::size_t kind = 0;
  while (kind < kKinds.size() && event != kKinds[kind]) ++kind;
  if (kind == kKinds.size()) return make_error(Errc::kCorrupt, "this is no news of a tracer");
  news.kind = static_cast<TracerNews::Kind>(kind);
  news.engine = member<std::string>(json, "engine").value_or("");
  news.reason = member<std::string>(json, "reason").value_or("");
  news.message = member<std::string>(json, "message").value_or("");
  news.trouble = member<std::string>(json, "trouble").value_or("");
  for (const Figure& figure : kFigures) news.*figure.value = member<double>(json, figure.name);
  for (std::size_t i = 0; i < kCollections.size(); ++i)
    news.collections[i] = member<double>(json, kCollections[i]);
  return news;
}

}  // namespace memspy::daemon

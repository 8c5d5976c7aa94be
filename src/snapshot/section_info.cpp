#include <algorithm>

#include <nlohmann/json.hpp>

#include "snapshot/snapshot_sections.h"

namespace memspy::snapshot {
namespace {

using Json = nlohmann::json;

// A number or text of a file is what it should be, or nothing.
template <typename T>
void take(const Json& from, const char* key, T& to) {
  const auto at = from.find(key);
  if (at == from.end()) return;
  if constexpr (std::is_same_v<T, bool>) {
    if (at->is_boolean()) to = at->template get<bool>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (at->is_string()) to = at->template get<std::string>();
  } else {
    if (at->is_number_unsigned())
      to = static_cast<T>(at->template get<std::uint64_t>());
    else if (at->is_number_integer())
      to = static_cast<T>(at->template get<std::int64_t>());
  }
}

const Json& list(const Json& from, const char* key) {
  static const Json kEmpty = Json::array();
  const auto at = from.find(key);
  return at != from.end() && at->is_array() ? *at : kEmpty;
}

// Command lines are bytes; JSON is UTF-8: every byte of them becomes a character of its own.
std::string to_utf8(const std::string& bytes) {
  std::string text;
  for (const unsigned char c : bytes) {
    if (c < 0x80) {
      text.push_back(static_cast<char>(c));
    } else {
      text.push_back(static_cast<char>(0xc0 | c >> 6));
      text.push_back(static_cast<char>(0x80 | (c & 0x3f)));
    }
  }
  return text;
}

std::string from_utf8(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c & 0xfe) == 0xc2 && i + 1 < text.size()) {
      bytes.push_back(static_cast<char>(c << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f)));
    } else {
      bytes.push_back(text[i]);
    }
  }
  return bytes;
}

Json header_json(const Header& h) {
  Json arguments = Json::array(), counters = Json::array();
  for (const auto& argument : h.command_line) arguments.push_back(to_utf8(argument));
  for (const auto& [name, value] : h.counters) counters.push_back({to_utf8(name), value});
  return {{"memspy_version", h.memspy_version},
          {"pid", h.process.pid.value},
          {"start_ticks", h.process.start_ticks},
          {"process_name", to_utf8(h.process_name)},
          {"command_line", arguments},
          {"python_version", to_utf8(h.python_version)},
          {"wall_time_ns", h.wall_time.count()},
          {"pause_ns", h.pause.count()},
          {"rss_bytes", h.rss_bytes},
          {"source", to_utf8(h.source)},
          {"values", h.values},
          {"rejected", h.rejected},
          {"rejected_bytes", h.rejected_bytes},
          {"moved_threads", h.moved_threads},
          {"counters", counters}};
}

void take_bytes(const Json& from, const char* key, std::string& to) {
  take(from, key, to);
  to = from_utf8(to);
}

void read_header(const Json& from, Header& h) {
  std::int64_t wall = 0, pause = 0;
  take(from, "memspy_version", h.memspy_version);
  take(from, "pid", h.process.pid.value);
  take(from, "start_ticks", h.process.start_ticks);
  take_bytes(from, "process_name", h.process_name);
  take_bytes(from, "python_version", h.python_version);
  take(from, "wall_time_ns", wall);
  take(from, "pause_ns", pause);
  h.wall_time = std::chrono::nanoseconds(std::clamp<std::int64_t>(wall, 0, 1LL << 62));
  h.pause = std::chrono::nanoseconds(std::clamp<std::int64_t>(pause, 0, 1LL << 62));
  take(from, "rss_bytes", h.rss_bytes);
  take_bytes(from, "source", h.source);
  take(from, "values", h.values);
  take(from, "rejected", h.rejected);
  take(from, "rejected_bytes", h.rejected_bytes);
  take(from, "moved_threads", h.moved_threads);
  for (const auto& argument : list(from, "command_line")) {
    if (argument.is_string()) h.command_line.push_back(from_utf8(argument.get<std::string>()));
  }
  for (const auto& counter : list(from, "counters")) {
    if (counter.is_array() && counter.size() == 2 && counter[0].is_string() &&
        counter[1].is_number())
      h.counters.emplace_back(from_utf8(counter[0].get<std::string>()), counter[1].get<double>());
  }
}

Json gc_json(const GcSummary& gc) {
  Json generations = Json::array(), garbage = Json::array();
  for (const auto& g : gc.generations) {
    generations.push_back({{"threshold", g.threshold},
                           {"count", g.count},
                           {"collections", g.collections},
                           {"collected", g.collected},
                           {"uncollectable", g.uncollectable},
                           {"objects", g.objects}});
  }
  for (const auto node : gc.garbage_list) garbage.push_back(node.value);
  return {
      {"interpreter_id", gc.interpreter_id}, {"enabled", gc.enabled}, {"collecting", gc.collecting},
      {"generations", generations},          {"frozen", gc.frozen},   {"garbage_list", garbage}};
}

GcSummary read_gc(const Json& from, std::uint32_t nodes) {
  GcSummary gc;
  take(from, "interpreter_id", gc.interpreter_id);
  take(from, "enabled", gc.enabled);
  take(from, "collecting", gc.collecting);
  take(from, "frozen", gc.frozen);
  for (const auto& each : list(from, "generations")) {
    if (!each.is_object()) continue;
    GcGeneration& g = gc.generations.emplace_back();
    take(each, "threshold", g.threshold);
    take(each, "count", g.count);
    take(each, "collections", g.collections);
    take(each, "collected", g.collected);
    take(each, "uncollectable", g.uncollectable);
    take(each, "objects", g.objects);
  }
  for (const auto& node : list(from, "garbage_list")) {
    if (node.is_number_unsigned() && node.get<std::uint64_t>() < nodes)
      gc.garbage_list.push_back({node.get<std::uint32_t>()});
  }
  return gc;
}

}  // namespace

std::string encode_info(const Snapshot& snapshot) {
  Json ledger = Json::array(), collectors = Json::array();
  for (const auto& row : snapshot.ledger)
    ledger.push_back(
        {{"row", to_utf8(row.row)}, {"bytes", row.bytes}, {"note", to_utf8(row.note)}});
  for (const auto& gc : snapshot.gc) collectors.push_back(gc_json(gc));
  return Json{{"header", header_json(snapshot.header)}, {"ledger", ledger}, {"gc", collectors}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool decode_info(std::span<const std::byte> bytes, Snapshot& snapshot) {
  const char* const text = reinterpret_cast<const char*>(bytes.data());
  const Json info = Json::parse(text, text + bytes.size(), nullptr, false);
  if (!info.is_object()) return false;
  const auto header = info.find("header");
  if (header == info.end() || !header->is_object()) return false;
  read_header(*header, snapshot.header);
  for (const auto& each : list(info, "ledger")) {
    if (!each.is_object()) continue;
    LedgerRow& row = snapshot.ledger.emplace_back();
    take_bytes(each, "row", row.row);
    take(each, "bytes", row.bytes);
    take_bytes(each, "note", row.note);
  }
  for (const auto& each : list(info, "gc")) {
    if (each.is_object()) snapshot.gc.push_back(read_gc(each, snapshot.graph.node_count()));
  }
  return true;
}

}  // namespace memspy::snapshot

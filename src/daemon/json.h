// JSON as the daemon says it: keys in the order they were put, bytes that are no UTF-8 replaced.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace memspy::daemon {

using Json = nlohmann::ordered_json;

inline std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename T>
Json json_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// Bytes and counts, which are figures with a fraction only where they were computed.
inline Json whole_or_null(const std::optional<double>& value) {
  return value ? Json(std::llround(*value)) : Json(nullptr);
}

// null: no JSON. Never throws; nesting is bounded by the length of a line.
inline Json parse_json(const std::string& text) {
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// The member, when it is there and of that type.
template <typename T>
std::optional<T> member(const Json& json, const char* key) {
  if (!json.is_object()) return std::nullopt;
  const auto it = json.find(key);
  if (it == json.end()) return std::nullopt;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!it->is_string()) return std::nullopt;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!it->is_boolean()) return std::nullopt;
  } else {
    if (!it->is_number()) return std::nullopt;
  }
  return it->template get<T>();
}

}  // namespace memspy::daemon

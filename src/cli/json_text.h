// JSON as memspy prints it: keys in the order they were put, bytes that are no UTF-8 replaced.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace memspy::cli {

using Json = nlohmann::ordered_json;

inline std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace memspy::cli

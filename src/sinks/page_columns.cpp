#include "sinks/page_columns.h"

namespace memspy::sinks {
namespace {

// Hostile figures wrap.
std::int64_t step(std::int64_t to, std::int64_t from) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(to) -
                                   static_cast<std::uint64_t>(from));
}

}  // namespace

void PageObject::begin(std::string_view name) {
  if (text_.size() > 1) text_ += ",\n";
  text_ += '"';
  text_ += name;
  text_ += "\":";
}

void PageObject::add_json(std::string_view name, std::string_view json) {
  begin(name);
  text_ += json;
}

void PageObject::add_steps(std::string_view name,
                           const std::vector<std::optional<std::int64_t>>& values) {
  begin(name);
  text_ += '[';
  const char* comma = "";
  std::int64_t last = 0;
  for (const auto& value : values) {
    text_ += comma;
    text_ += value ? std::to_string(step(*value, last)) : "null";
    last = value.value_or(last);
    comma = ",";
  }
  text_ += ']';
}

void PageObject::add_steps(std::string_view name, const std::vector<std::int64_t>& values) {
  add_steps(name, std::vector<std::optional<std::int64_t>>(values.begin(), values.end()));
}

}  // namespace memspy::sinks

#include "daemon/table_reader.h"

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"
#include "base/duration.h"

namespace memspy::daemon {
namespace {

constexpr const char* kEveryKey = "docs/memspy.toml has every key, with its default";

}  // namespace

TableReader::TableReader(const toml::table& table, std::string path, std::string section)
    : table_(table), path_(std::move(path)), section_(std::move(section)) {}

const toml::node* TableReader::find(const char* key) {
  asked_.insert(key);
  return table_.get(key);
}

void TableReader::refuse(const toml::node& at, const std::string& key, const std::string& why) {
  if (error_) return;
  Error error = make_error(Errc::kUsage, "the configuration " + path_ + " has a bad value");
  error.hint = kEveryKey;
  const auto& place = at.source().begin;
  error.why = fmt::format("line {}, column {}: {}{}{} {}", place.line, place.column, section_,
                          section_.empty() ? "" : ".", key, why);
  error_ = std::move(error);
}

void TableReader::refuse(const char* key, const std::string& why) {
  const toml::node* node = find(key);
  refuse(node != nullptr ? *node : static_cast<const toml::node&>(table_), key, why);
}

void TableReader::text(const char* key, std::string& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (const auto* value = node->as_string()) {
    out = value->get();
  } else {
    refuse(*node, key, "is not a text");
  }
}

void TableReader::flag(const char* key, bool& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (const auto* value = node->as_boolean()) {
    out = value->get();
  } else {
    refuse(*node, key, "is not true or false");
  }
}

void TableReader::number(const char* key, double& out, double least, double most) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const auto value = node->value<double>();
  if (!value || !(*value >= least && *value <= most)) {
    refuse(*node, key, fmt::format("is not a number from {:g} to {:g}", least, most));
  } else {
    out = *value;
  }
}

void TableReader::count(const char* key, unsigned& out, unsigned least, unsigned most) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const auto* value = node->as_integer();
  if (value == nullptr || value->get() < least || value->get() > most) {
    refuse(*node, key, fmt::format("is not a whole number from {} to {}", least, most));
  } else {
    out = static_cast<unsigned>(value->get());
  }
}

void TableReader::duration(const char* key, std::chrono::nanoseconds& out,
                           std::chrono::nanoseconds least) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const auto* value = node->as_string();
  if (value == nullptr) return refuse(*node, key, "is not a time with its unit, as \"30s\"");
  const auto parsed = parse_duration(value->get(), /*bare_seconds=*/false);
  if (!parsed) return refuse(*node, key, "is no time: " + parsed.error().message);
  if (*parsed < least) return refuse(*node, key, "is less than " + format_duration(least));
  out = *parsed;
}

void TableReader::bytes(const char* key, std::uint64_t& out, std::uint64_t least) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const auto* value = node->as_string();
  if (value == nullptr) return refuse(*node, key, "is not a size with its unit, as \"64MiB\"");
  const auto parsed = parse_bytes(value->get());
  if (!parsed) return refuse(*node, key, "is no size: " + parsed.error().message);
  if (*parsed < least) return refuse(*node, key, "is less than " + format_bytes(least));
  out = *parsed;
}

void TableReader::words(const char* key, std::vector<std::string>& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const toml::array* values = node->as_array();
  if (values == nullptr) return refuse(*node, key, "is not a list of texts");
  std::vector<std::string> found;
  for (const toml::node& each : *values) {
    const auto* value = each.as_string();
    if (value == nullptr) return refuse(each, key, "is not a list of texts");
    found.push_back(value->get());
  }
  out = std::move(found);
}

void TableReader::labels(const char* key, std::vector<std::pair<std::string, std::string>>& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const toml::table* values = node->as_table();
  if (values == nullptr) return refuse(*node, key, "is not a table of texts");
  for (const auto& [name, each] : *values) {
    const auto* value = each.as_string();
    if (value == nullptr) return refuse(each, key, "is not a table of texts");
    out.emplace_back(std::string(name.str()), value->get());
  }
}

const toml::table* TableReader::section(const char* key) {
  const toml::node* node = find(key);
  if (node == nullptr) return nullptr;
  const toml::table* table = node->as_table();
  if (table == nullptr) refuse(*node, key, "is not a section");
  return table;
}

std::vector<const toml::table*> TableReader::sections(const char* key) {
  std::vector<const toml::table*> found;
  const toml::node* node = find(key);
  if (node == nullptr) return found;
  const toml::array* array = node->as_array();
  if (array == nullptr) refuse(*node, key, fmt::format("is not a list of sections: [[{}]]", key));
  if (array == nullptr) return found;
  for (const toml::node& each : *array) {
    if (const toml::table* table = each.as_table()) {
      found.push_back(table);
    } else {
      refuse(each, key, fmt::format("is not a list of sections: [[{}]]", key));
    }
  }
  return found;
}

Result<Unit> TableReader::done() {
  if (error_) return *error_;
  for (const auto& [key, value] : table_) {
    const std::string name(key.str());
    if (asked_.contains(name)) continue;
    Error error =
        make_error(Errc::kUsage, "the configuration " + path_ + " has a key memspy does not know");
    error.why = fmt::format("line {}, column {}: {}{}{}", key.source().begin.line,
                            key.source().begin.column, section_, section_.empty() ? "" : ".", name);
    error.hint = kEveryKey;
    return error;
  }
  return Unit{};
}

}  // namespace memspy::daemon

// Columns of numbers as JSON arrays, as text: millions of them are too many for a document model.
// Private to sinks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace memspy::sinks {

// Appends `,"name":[…]`, or without the comma right behind an opening brace.
class PageObject {
 public:
  PageObject() : text_("{") {}

  void add_json(std::string_view name, std::string_view json);
  template <class Values>
  void add_numbers(std::string_view name, const Values& values) {
    begin(name);
    text_ += '[';
    const char* comma = "";
    for (const auto value : values) {
      text_ += comma;
      text_ += std::to_string(value);
      comma = ",";
    }
    text_ += ']';
  }
  // Each less the one before it (the first less 0): small numbers, which compress well. An absent
  // one is null and changes nothing.
  void add_steps(std::string_view name, const std::vector<std::optional<std::int64_t>>& values);
  void add_steps(std::string_view name, const std::vector<std::int64_t>& values);

  std::string take() && { return std::move(text_) + "}"; }

 private:
  void begin(std::string_view name);
  std::string text_;
};

}  // namespace memspy::sinks

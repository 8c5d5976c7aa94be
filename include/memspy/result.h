// Result<T>: a value or an Error, with the method names of std::expected so that it can be replaced
// by it when the compiler of the oldest supported distribution has it.
#pragma once

#include <cassert>
#include <type_traits>
#include <utility>
#include <variant>

#include "memspy/error.h"

namespace memspy {

struct Unit {};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const { return state_.index() == 0; }
  // Not for Result<bool>: `if (result)` would read as the value.
  explicit operator bool() const requires(!std::is_same_v<T, bool>) { return has_value(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T value_or(T other) const& { return has_value() ? value() : std::move(other); }

  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Adds this layer's noun to an error; a value passes unchanged.
  Result context(std::string noun) && {
    if (!has_value()) error().context.push_back(std::move(noun));
    return std::move(*this);
  }

 private:
  std::variant<T, Error> state_;
};

}  // namespace memspy

#define MEMSPY_CONCAT_INNER(a, b) a##b
#define MEMSPY_CONCAT(a, b) MEMSPY_CONCAT_INNER(a, b)

// MEMSPY_TRY(name, expr): declares `name` with the value of `expr`, or returns its error.
#define MEMSPY_TRY(name, expr)                               \
  auto MEMSPY_CONCAT(try_, __LINE__) = (expr);               \
  if (!MEMSPY_CONCAT(try_, __LINE__).has_value())            \
    return std::move(MEMSPY_CONCAT(try_, __LINE__)).error(); \
  auto name = std::move(MEMSPY_CONCAT(try_, __LINE__)).value()

// MEMSPY_CHECK(expr): returns the error of `expr`, or goes on.
#define MEMSPY_CHECK(expr)                                                                         \
  if (auto MEMSPY_CONCAT(check_, __LINE__) = (expr); !MEMSPY_CONCAT(check_, __LINE__).has_value()) \
  return std::move(MEMSPY_CONCAT(check_, __LINE__)).error()

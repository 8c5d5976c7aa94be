// Strong types for what identifies things in a target. None converts silently into another.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <functional>

namespace memspy {

// An address in a target's memory; never dereferenced by memspy.
struct RemoteAddr {
  std::uint64_t value = 0;
  explicit operator bool() const { return value != 0; }
  auto operator<=>(const RemoteAddr&) const = default;
};
inline RemoteAddr operator+(RemoteAddr a, std::uint64_t offset) { return {a.value + offset}; }
inline RemoteAddr operator-(RemoteAddr a, std::uint64_t offset) { return {a.value - offset}; }

// A process (thread group) id and a thread id, both as seen from memspy's own PID namespace.
struct Pid {
  pid_t value = 0;
  auto operator<=>(const Pid&) const = default;
};
struct Tid {
  pid_t value = 0;
  auto operator<=>(const Tid&) const = default;
};

}  // namespace memspy

template <>
struct std::hash<memspy::RemoteAddr> {
  std::size_t operator()(memspy::RemoteAddr a) const noexcept {
    return std::hash<std::uint64_t>{}(a.value);
  }
};
template <>
struct std::hash<memspy::Pid> {
  std::size_t operator()(memspy::Pid p) const noexcept { return std::hash<pid_t>{}(p.value); }
};
template <>
struct std::hash<memspy::Tid> {
  std::size_t operator()(memspy::Tid t) const noexcept { return std::hash<pid_t>{}(t.value); }
};

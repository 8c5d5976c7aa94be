#include "sinks/heapsnapshot_plan.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>

#include <spdlog/fmt/fmt.h>

namespace memspy::sinks {
namespace {

constexpr std::array kClosures{"builtins.function", "builtins.builtin_function_or_method",
                               "builtins.method", "functools.partial"};
constexpr std::array kNumbers{"builtins.int", "builtins.float", "builtins.complex"};

std::uint64_t mix(std::uint64_t x) {  // splitmix64's finisher
  x ^= x >> 30U;
  x *= 0xbf58476d1ce4e5b9U;
  x ^= x >> 27U;
  x *= 0x94d049bb133111ebU;
  return x ^ x >> 31U;
}

template <typename Names>
bool is_one_of(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

V8Group group_of(RootKind kind) {
  switch (kind) {
    case RootKind::kFrame:
    case RootKind::kThread:
      return V8Group::kThreads;
    case RootKind::kType:
    case RootKind::kStatic:
      return V8Group::kStaticTypes;
    case RootKind::kNative:
      return V8Group::kNativeRefs;
    case RootKind::kModule:
    case RootKind::kInterpreter:
      break;
  }
  return V8Group::kInterpreter;
}

V8Node v8_node_of(std::string_view type_name) {
  if (type_name == "builtins.str") return V8Node::kString;
  if (type_name == "builtins.code") return V8Node::kCode;
  // Not an object of Python's but a block that several own: the reader folds what has one owner.
  if (type_name.find('.') == std::string_view::npos && type_name.starts_with("dict keys"))
    return V8Node::kArray;
  if (is_one_of(kClosures, type_name)) return V8Node::kClosure;
  if (is_one_of(kNumbers, type_name)) return V8Node::kNumber;
  return V8Node::kObject;
}

std::string v8_class_name(std::string_view type_name) {
  if (type_name.empty()) return "?";
  if (type_name == "Object") return "python.Object";
  std::string name(type_name);
  if (name[0] == '<') name[0] = '(';
  if (name.starts_with("Detached ")) name[8] = '_';
  return name;
}

std::vector<std::uint32_t> first_alike(std::span<const snapshot::StringMark> marks) {
  std::vector<std::uint32_t> order(marks.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto key = [&](std::uint32_t i) { return std::tuple(marks[i].hash, marks[i].length); };
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return key(a) != key(b) ? key(a) < key(b) : a < b;
  });
  std::vector<std::uint32_t> first(marks.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool alike = i > 0 && key(order[i]) == key(order[i - 1]);
    first[order[i]] = alike ? first[order[i - 1]] : order[i];
  }
  return first;
}

std::string marked_name(const snapshot::StringMark& mark) {
  return fmt::format("str#{}#{:016x}", mark.length, mark.hash);
}

V8Ids::V8Ids(std::uint64_t count) : taken_(std::bit_ceil(2 * count + 16), 0) {}

std::uint32_t V8Ids::take(std::uint64_t address, std::uint64_t type) {
  auto id = static_cast<std::uint32_t>(mix(address ^ std::rotl(mix(type), 17))) | 1U;
  const std::size_t mask = taken_.size() - 1;
  for (;; id += 2) {
    if (id <= kV8EndId) continue;
    std::size_t at = mix(id) & mask;
    while (taken_[at] != 0 && taken_[at] != id) at = (at + 1) & mask;
    if (taken_[at] == id) continue;
    taken_[at] = id;
    return id;
  }
}

}  // namespace memspy::sinks

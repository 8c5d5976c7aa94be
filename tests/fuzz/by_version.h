// A fuzz target whose input begins with the version it damages: one subject for each, made when it is
// first needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

namespace memspy::fuzz {

// Subject: made of a minor version, and run() on what follows the first byte.
template <typename Subject>
int run_by_version(const std::uint8_t* data, std::size_t size) {
  constexpr int kFirstMinor = 6, kMinors = 10;
  static std::map<int, std::unique_ptr<Subject>> subjects;
  if (size == 0) return 0;
  const int minor = kFirstMinor + data[0] % kMinors;
  auto& subject = subjects[minor];
  if (!subject) subject = std::make_unique<Subject>(minor);
  subject->run(data + 1, size - 1);
  return 0;
}

}  // namespace memspy::fuzz

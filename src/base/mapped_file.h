// A whole file, read-only, in memspy's memory. Who shortens the file meanwhile causes a SIGBUS: for
// files that are finished, not for those that a program still writes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "memspy/result.h"

namespace memspy {

class MappedFile {
 public:
  // kUsage: there is no such regular file; kUnreadable. An empty file is an empty span.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

}  // namespace memspy

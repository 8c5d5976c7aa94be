// One page fault as the kernel recorded it.
//
// A record that is read out of a ring is a view of it, valid while it is visited: the lines of a
// ring lie in another core's cache, 0.1 µs each, and most records are asked for two or three of
// their thousand words, or a dozen. A copy has words of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "memspy/address.h"

namespace memspy::attach {

inline constexpr std::size_t kFaultRegisters = 6;  // rbx, rbp, r12 to r15: what calls preserve
// Of the stack, from rsp up. The interpreter's own calls need less than 1 KiB, numpy's loops up to
// 7: what a record has is what it costs, so a trail begins with little and is opened anew with more
// where that turns out to be needed.
inline constexpr std::size_t kLeastStackBytes = 2048, kMostStackBytes = 16384;

// kFaultRegisters registers, then the stack; may be shorter.
class FaultWords {
 public:
  using Registers = std::array<std::uint64_t, kFaultRegisters>;

  FaultWords() = default;
  explicit FaultWords(std::vector<std::uint64_t> words) : kept_(std::move(words)), head_(kept_) {}
  // A view of a stack in two pieces: it may wrap around the end of a ring.
  FaultWords(const Registers& registers, std::span<const std::uint64_t> head,
             std::span<const std::uint64_t> tail)
      : registers_(registers), register_count_(kFaultRegisters), head_(head), tail_(tail) {}
  FaultWords(const FaultWords& other);
  FaultWords& operator=(const FaultWords& other);
  FaultWords(FaultWords&&) noexcept = default;
  FaultWords& operator=(FaultWords&&) noexcept = default;
  ~FaultWords() = default;

  std::size_t size() const { return register_count_ + head_.size() + tail_.size(); }
  // `index` < size().
  std::uint64_t operator[](std::size_t index) const {
    if (index < register_count_) return registers_[index];
    index -= register_count_;
    return index < head_.size() ? head_[index] : tail_[index - head_.size()];
  }
  bool operator==(const FaultWords& other) const;

 private:
  Registers registers_{};
  std::size_t register_count_ = 0;
  std::vector<std::uint64_t> kept_;  // head_ is this, or a part of a ring
  std::span<const std::uint64_t> head_, tail_;
};

// The registers are those of user mode: for a fault inside a system call they name the call.
// kSignalled records the address alone: its thread is stopped and can be asked.
struct FaultRecord {
  RemoteAddr address;
  std::uint64_t argument = 0;  // rdi, a call's first argument
  std::uint64_t stack = 0;     // rsp
  std::uint64_t code = 0;      // rip
  FaultWords words;
};

}  // namespace memspy::attach

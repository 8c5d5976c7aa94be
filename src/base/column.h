// A column of plain values that grows without being copied: its pages are moved, and untouched ones
// cost nothing. Large heaps need this: a vector that doubles holds three times its content.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace memspy {

// Access to large columns is random: with huge pages it misses the TLB less.
inline void prefer_huge_pages(const void* begin, std::size_t bytes) {
  constexpr std::size_t kHuge = 2U << 20;
  const auto from = (reinterpret_cast<std::uintptr_t>(begin) + 4095) & ~std::uintptr_t{4095};
  const auto to = (reinterpret_cast<std::uintptr_t>(begin) + bytes) & ~std::uintptr_t{4095};
  if (to > from && to - from >= kHuge)
    ::madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
}

// Makes the whole pages of it resident now. Where the kernel cannot (before Linux 5.14), they come
// as they are written to.
inline void populate_pages(void* begin, std::size_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE
  const auto from = (reinterpret_cast<std::uintptr_t>(begin) + 4095) & ~std::uintptr_t{4095};
  const auto to = (reinterpret_cast<std::uintptr_t>(begin) + bytes) & ~std::uintptr_t{4095};
  if (to > from) ::madvise(reinterpret_cast<void*>(from), to - from, kPopulateWrite);
}

template <typename T>
class Column {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Column() = default;
  // Zeroed, `size` of them; only touched pages are resident.
  explicit Column(std::size_t size) { resize(size); }
  Column(Column&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        mapped_(std::exchange(other.mapped_, 0)) {}
  Column& operator=(Column&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_, other.mapped_);
    return *this;
  }
  Column(const Column&) = delete;
  Column& operator=(const Column&) = delete;
  ~Column() {
    if (data_ != nullptr) ::munmap(data_, mapped_);
  }

  void append(std::span<const T> values) {
    const std::size_t old = size_;
    resize(size_ + values.size());
    for (std::size_t i = 0; i < values.size(); ++i) data_[old + i] = values[i];
  }
  void push_back(T value) {
    if ((size_ + 1) * sizeof(T) > mapped_) map(size_ + 1);
    data_[size_++] = value;
  }
  void pop_back() { --size_; }
  void resize(std::size_t size) {
    if (size * sizeof(T) > mapped_) map(size);
    size_ = size;
  }
  // Gives the room behind the last value back.
  void shrink() {
    const std::size_t wanted = pages(size_ * sizeof(T));
    if (data_ == nullptr || wanted == mapped_ || wanted == 0) return;
    if (::munmap(reinterpret_cast<std::byte*>(data_) + wanted, mapped_ - wanted) == 0)
      mapped_ = wanted;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T& back() { return data_[size_ - 1]; }
  std::span<const T> view() const { return {data_, size_}; }

 private:
  static std::size_t pages(std::size_t bytes) { return (bytes + 4095) & ~std::size_t{4095}; }

  static void* fresh(std::size_t bytes) {
    return ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  void* larger(std::size_t bytes) {
#ifdef __SANITIZE_THREAD__
    // It does not see mremap(): another thread's column at the old place would be a race to it.
    void* const at = fresh(bytes);
    if (at == MAP_FAILED) return at;
    std::memcpy(at, data_, mapped_);
    ::munmap(data_, mapped_);
    return at;
#else
    return ::mremap(data_, mapped_, bytes, MREMAP_MAYMOVE);
#endif
  }

  void map(std::size_t wanted) {
    const std::size_t bytes =
        pages(data_ == nullptr ? wanted * sizeof(T) : std::max(wanted * sizeof(T), mapped_ * 2));
    void* const at = data_ == nullptr ? fresh(bytes) : larger(bytes);
    if (at == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(at);
    mapped_ = bytes;
    prefer_huge_pages(at, bytes);
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;  // bytes
};

}  // namespace memspy

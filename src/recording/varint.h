// Numbers of a variable length, seven bits a byte, the lowest first (LEB128), and texts behind
// their length. Private to recording.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace memspy::recording {

inline void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>((value & 0x7fU) | 0x80U));
    value >>= 7U;
  }
  out.push_back(static_cast<char>(value));
}

inline void put_text(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out.append(text);
}

// Goes through a blob that may be anything: what is not there is 0 or "", and then it has failed.
class VarintReader {
 public:
  explicit VarintReader(std::string_view blob) : blob_(blob) {}
  bool at_end() const { return at_ == blob_.size(); }
  bool failed() const { return failed_; }
  std::size_t left() const { return blob_.size() - at_; }

  std::uint64_t take() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < blob_.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(blob_[at_++]);
      value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    failed_ = true;
    return 0;
  }

  std::string_view take_text() {
    const std::uint64_t size = take();
    if (failed_ || size > left()) {
      failed_ = true;
      return {};
    }
    at_ += size;
    return blob_.substr(at_ - size, size);
  }

 protected:
  void fail() { failed_ = true; }

 private:
  std::string_view blob_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace memspy::recording

// A stream buffer over a file descriptor that remembers why a write failed. std::cout does not say
// whether the reader went away (EPIPE: the end, not an error) or the disk is full (exit 7).
#pragma once

#include <ostream>
#include <streambuf>
#include <vector>

namespace memspy::cli {

class FdOutput final : public std::streambuf {
 public:
  explicit FdOutput(int fd);
  ~FdOutput() override;
  // errno of the first failed write; 0 while all went well. What comes after is dropped.
  int error() const { return error_; }

 protected:
  int_type overflow(int_type ch) override;
  int sync() override;

 private:
  bool flush_buffer();

  int fd_;
  int error_ = 0;
  std::vector<char> buffer_;
};

// True when the reader of this stream's descriptor has gone (EPIPE), which is its right.
bool reader_went_away(const std::ostream& out);

}  // namespace memspy::cli

#include "cli/fd_output.h"

#include <unistd.h>

#include <cerrno>

namespace memspy::cli {
namespace {
constexpr std::size_t kBufferBytes = 1U << 14;
}

FdOutput::FdOutput(int fd) : fd_(fd), buffer_(kBufferBytes) {
  setp(buffer_.data(), buffer_.data() + buffer_.size());
}

FdOutput::~FdOutput() { flush_buffer(); }

FdOutput::int_type FdOutput::overflow(int_type ch) {
  if (!flush_buffer()) return traits_type::eof();
  if (!traits_type::eq_int_type(ch, traits_type::eof())) {
    *pptr() = traits_type::to_char_type(ch);
    pbump(1);
  }
  return traits_type::not_eof(ch);
}

int FdOutput::sync() { return flush_buffer() ? 0 : -1; }

bool FdOutput::flush_buffer() {
  const char* next = pbase();
  while (next < pptr() && error_ == 0) {
    const ssize_t written = ::write(fd_, next, static_cast<std::size_t>(pptr() - next));
    if (written >= 0) {
      next += written;
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  setp(buffer_.data(), buffer_.data() + buffer_.size());
  return error_ == 0;
}

bool reader_went_away(const std::ostream& out) {
  const auto* output = dynamic_cast<const FdOutput*>(out.rdbuf());
  return output != nullptr && output->error() == EPIPE;
}

}  // namespace memspy::cli

#include "sinks/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "sinks/writers.h"

namespace memspy::sinks {

Result<Unit> write_gzip(const std::string& data, GzipLevel level, std::ostream& out) {
  constexpr int kGzip = 16 + MAX_WBITS, kMemory = 8;
  z_stream stream{};
  if (deflateInit2(&stream, static_cast<int>(level), Z_DEFLATED, kGzip, kMemory,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    return make_error(Errc::kInternal, "zlib has no memory");
  // zlib does not write through its input.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  std::size_t left = data.size();
  std::array<char, 1 << 16> buffer{};
  int state = Z_OK;
  while (state != Z_STREAM_END && state != Z_STREAM_ERROR && out.good()) {
    const std::size_t piece = std::min<std::size_t>(left, 1U << 30);  // of 32 bits at a time
    const uInt before = stream.avail_in;
    if (before == 0) {
      stream.avail_in = static_cast<uInt>(piece);
      left -= piece;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = buffer.size();
    state = deflate(&stream, left == 0 ? Z_FINISH : Z_NO_FLUSH);
    out.write(buffer.data(), static_cast<std::streamsize>(buffer.size() - stream.avail_out));
  }
  deflateEnd(&stream);
  if (state == Z_STREAM_ERROR) return make_error(Errc::kInternal, "zlib refused the data");
  out.flush();
  return check_stream(out);
}

}  // namespace memspy::sinks

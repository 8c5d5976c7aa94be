#include <zlib.h>

#include <algorithm>
#include <array>
#include <protozero/pbf_writer.hpp>
#include <unordered_map>

#include <spdlog/fmt/fmt.h>

#include "recording/text.h"
#include "sinks/owner_stacks.h"
#include "sinks/snapshot_formats.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

using protozero::pbf_writer;

// Field numbers of perftools.profiles, google/pprof's profile.proto.
namespace profile {
constexpr protozero::pbf_tag_type kSampleType = 1, kSample = 2, kLocation = 4, kFunction = 5,
                                  kStringTable = 6, kTimeNanos = 9, kPeriodType = 11, kPeriod = 12,
                                  kComment = 13, kDefaultSampleType = 14;
}
namespace value_type {
constexpr protozero::pbf_tag_type kType = 1, kUnit = 2;
}
namespace sample {
constexpr protozero::pbf_tag_type kLocationId = 1, kValue = 2;
}
namespace location {
constexpr protozero::pbf_tag_type kId = 1, kLine = 4;
}
namespace line {
constexpr protozero::pbf_tag_type kFunctionId = 1;
}
namespace function {
constexpr protozero::pbf_tag_type kId = 1, kName = 2, kSystemName = 3;
}

class Strings {
 public:
  std::int64_t index(const std::string& text) {
    const auto [it, fresh] = index_.try_emplace(text, static_cast<std::int64_t>(all_.size()));
    if (fresh) all_.push_back(text);
    return it->second;
  }
  const std::vector<std::string>& all() const { return all_; }

 private:
  std::vector<std::string> all_{""};  // the format wants the empty string at 0
  std::unordered_map<std::string, std::int64_t> index_{{"", 0}};
};

void write_type(pbf_writer& to, protozero::pbf_tag_type tag, Strings& strings, const char* type,
                const char* unit) {
  pbf_writer message(to, tag);
  message.add_int64(value_type::kType, strings.index(type));
  message.add_int64(value_type::kUnit, strings.index(unit));
}

// A frame is a function of its own and a location of its own, both numbered from 1.
void write_frames(pbf_writer& to, const OwnerStacks& stacks, Strings& strings) {
  for (std::size_t i = 0; i < stacks.frames.size(); ++i) {
    {
      pbf_writer place(to, profile::kLocation);
      place.add_uint64(location::kId, i + 1);
      pbf_writer at(place, location::kLine);
      at.add_uint64(line::kFunctionId, i + 1);
    }
    pbf_writer called(to, profile::kFunction);
    const std::int64_t name = strings.index(recording::escape_text(stacks.frames[i]));
    called.add_uint64(function::kId, i + 1);
    called.add_int64(function::kName, name);
    called.add_int64(function::kSystemName, name);
  }
}

std::string encode(const OwnerStacks& stacks, const snapshot::Header& header) {
  std::string data;
  pbf_writer to(data);
  Strings strings;
  write_type(to, profile::kSampleType, strings, "inuse_objects", "count");
  write_type(to, profile::kSampleType, strings, "inuse_space", "bytes");
  std::vector<std::uint64_t> leaf_first;
  for (const OwnerStack& stack : stacks.stacks) {
    leaf_first.clear();
    for (auto it = stack.frames.rbegin(); it != stack.frames.rend(); ++it)
      leaf_first.push_back(*it + 1);
    const std::array values{static_cast<std::int64_t>(stack.objects),
                            static_cast<std::int64_t>(stack.bytes)};
    pbf_writer message(to, profile::kSample);
    message.add_packed_uint64(sample::kLocationId, leaf_first.begin(), leaf_first.end());
    message.add_packed_int64(sample::kValue, values.begin(), values.end());
  }
  write_frames(to, stacks, strings);
  write_type(to, profile::kPeriodType, strings, "space", "bytes");
  to.add_int64(profile::kPeriod, 1);  // every byte is counted
  to.add_int64(profile::kTimeNanos, header.wall_time.count());
  to.add_int64(profile::kComment, strings.index(fmt::format("memspy {}: heap of {}, by holder",
                                                            header.memspy_version, header.source)));
  to.add_int64(profile::kDefaultSampleType, strings.index("inuse_space"));
  for (const std::string& text : strings.all()) to.add_string(profile::kStringTable, text);
  return data;
}

Result<Unit> write_gzip(const std::string& data, std::ostream& out) {
  constexpr int kGzip = 16 + MAX_WBITS, kMemory = 8;
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY) != Z_OK)
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
  if (state == Z_STREAM_ERROR) return make_error(Errc::kInternal, "zlib refused the profile");
  out.flush();
  return check_stream(out);
}

}  // namespace

Result<Unit> write_owner_pprof(const snapshot::Look& look, std::ostream& out) {
  return write_gzip(encode(owner_stacks(look), look.snapshot->header), out);
}

}  // namespace memspy::sinks

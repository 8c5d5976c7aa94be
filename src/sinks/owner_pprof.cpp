#include <algorithm>
#include <array>

#include <spdlog/fmt/fmt.h>

#include "recording/text.h"
#include "sinks/gzip.h"
#include "sinks/owner_stacks.h"
#include "sinks/pprof_encoder.h"
#include "sinks/snapshot_formats.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

using namespace pprof;

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
  strings.write(to);
  return data;
}

}  // namespace

Result<Unit> write_owner_pprof(const snapshot::Look& look, const SnapshotFormatOptions&,
                               std::ostream& out) {
  return write_gzip(encode(owner_stacks(look), look.snapshot->header), GzipLevel::kFast, out);
}

}  // namespace memspy::sinks

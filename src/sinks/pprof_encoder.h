// What every pprof file has in common: strings by number, units. Private to sinks.
#pragma once

#include <cstdint>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <unordered_map>
#include <vector>

namespace memspy::sinks::pprof {

using protozero::pbf_tag_type;
using protozero::pbf_writer;

// Field numbers of perftools.profiles, google/pprof's profile.proto.
namespace profile {
constexpr pbf_tag_type kSampleType = 1, kSample = 2, kMapping = 3, kLocation = 4, kFunction = 5,
                       kStringTable = 6, kTimeNanos = 9, kDurationNanos = 10, kPeriodType = 11,
                       kPeriod = 12, kComment = 13, kDefaultSampleType = 14;
}
namespace value_type {
constexpr pbf_tag_type kType = 1, kUnit = 2;
}
namespace sample {
constexpr pbf_tag_type kLocationId = 1, kValue = 2;
}
namespace mapping {
constexpr pbf_tag_type kId = 1, kMemoryStart = 2, kMemoryLimit = 3, kFileOffset = 4, kFilename = 5,
                       kBuildId = 6, kHasFunctions = 7, kHasFilenames = 8, kHasLineNumbers = 9,
                       kHasInlineFrames = 10;
}
namespace location {
constexpr pbf_tag_type kId = 1, kMappingId = 2, kAddress = 3, kLine = 4;
}
namespace line {
constexpr pbf_tag_type kFunctionId = 1, kLine = 2;
}
namespace function {
constexpr pbf_tag_type kId = 1, kName = 2,
                       kFilename = 4;  // no system name: pprof would demangle "<module>"
}

class Strings {
 public:
  std::int64_t index(const std::string& text) {
    const auto [it, fresh] = index_.try_emplace(text, static_cast<std::int64_t>(all_.size()));
    if (fresh) all_.push_back(text);
    return it->second;
  }
  void write(pbf_writer& to) const {
    for (const std::string& text : all_) to.add_string(profile::kStringTable, text);
  }

 private:
  std::vector<std::string> all_{""};  // the format wants the empty string at 0
  std::unordered_map<std::string, std::int64_t> index_{{"", 0}};
};

void write_type(pbf_writer& to, pbf_tag_type tag, Strings& strings, const char* type,
                const char* unit);

}  // namespace memspy::sinks::pprof

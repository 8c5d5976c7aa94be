#include <array>
#include <map>

#include <spdlog/fmt/fmt.h>

#include "recording/shaped.h"
#include "recording/text.h"
#include "sinks/gzip.h"
#include "sinks/pprof_encoder.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

using namespace pprof;
using recording::ShapedFrame;

// Link addresses of different files overlap; in a profile each file has a range of its own.
constexpr std::uint64_t kRangeOfFile = 1ULL << 40;

struct MappedFile {
  std::uint64_t id = 0;
  std::uint64_t limit = 0;  // behind its highest address
  std::uint64_t base() const { return id * kRangeOfFile; }
};

class ProfileEncoder {
 public:
  explicit ProfileEncoder(const recording::ShapedProfile& shaped) : shaped_(shaped) {}

  std::string encode(const recording::Profile& profile, recording::Amount amount) {
    pbf_writer to(data_);
    const bool time = shaped_.measure == recording::Measure::kMicroseconds;
    const bool objects = shaped_.measure == recording::Measure::kObjects;
    const char* kind =
        recording::word_of(shaped_.measure, "inuse_space", "alloc_time", "temporary_objects");
    if (time) write_type(to, profile::kSampleType, strings_, "samples", "count");
    write_type(to, profile::kSampleType, strings_, kind,
               objects ? "count" : recording::unit_name(shaped_.measure));
    for (const auto& stack : shaped_.stacks) write_stack(to, stack);
    find_mappings(profile);
    write_mappings(to);
    for (std::size_t i = 0; i < shaped_.frames.size(); ++i) write_frame(to, i);
    if (time) {
      write_type(to, profile::kPeriodType, strings_, "cpu", "nanoseconds");
      to.add_int64(profile::kPeriod, mean_period(profile));
    } else {
      write_type(to, profile::kPeriodType, strings_, objects ? "objects" : "space",
                 objects ? "count" : "bytes");
      to.add_int64(profile::kPeriod, 1);  // each is counted
    }
    const bool whole = profile.window.whole();
    const auto begin = whole ? std::chrono::nanoseconds(0) : profile.begin_time;
    const auto length =
        whole && profile.summary ? profile.summary->duration : profile.last_time - begin;
    to.add_int64(profile::kTimeNanos, (profile.header.wall_start + begin).count());
    if (length.count() > 0) to.add_int64(profile::kDurationNanos, length.count());
    to.add_int64(profile::kComment, strings_.index(comment(profile, amount)));
    to.add_int64(profile::kDefaultSampleType, strings_.index(kind));
    strings_.write(to);
    return std::move(data_);
  }

 private:
  static const char* what_is_counted(const recording::Profile& profile, recording::Amount amount) {
    if (amount == recording::Amount::kTemporary)
      return "objects that came and went in watched blocks";
    if (amount == recording::Amount::kGross) return "resident memory touched";
    return profile.header.mode == "live" ? "growth of the Python heap"
                                         : "growth of resident memory";
  }

  static std::string comment(const recording::Profile& profile, recording::Amount amount) {
    if (profile.measure() == recording::Measure::kMicroseconds)
      return fmt::format("memspy {}: CPU time spent allocating, engine {}",
                         profile.header.memspy_version, profile.header.engine);
    return fmt::format("memspy {}: {}, engine {}", profile.header.memspy_version,
                       what_is_counted(profile, amount), profile.header.engine);
  }

  // Of the ticks, which vary by design.
  static std::int64_t mean_period(const recording::Profile& profile) {
    const auto in = profile.allocating(), out = profile.not_allocating();
    const auto ticks = static_cast<std::int64_t>(in.samples + out.samples);
    return ticks <= 0 ? 0 : in.time.count() / ticks + out.time.count() / ticks;
  }

  void write_stack(pbf_writer& to, const recording::ShapedStack& stack) const {
    std::vector<std::uint64_t> leaf_first;
    for (auto it = stack.frames.rbegin(); it != stack.frames.rend(); ++it)
      leaf_first.push_back(*it + 1);
    std::vector<std::int64_t> values;
    if (shaped_.measure == recording::Measure::kMicroseconds)
      values.push_back(static_cast<std::int64_t>(stack.samples));
    values.push_back(static_cast<std::int64_t>(stack.amount));
    pbf_writer message(to, profile::kSample);
    message.add_packed_uint64(sample::kLocationId, leaf_first.begin(), leaf_first.end());
    message.add_packed_int64(sample::kValue, values.begin(), values.end());
  }

  // pprof takes the first one for the program.
  void find_mappings(const recording::Profile& profile) {
    const std::string program = profile.processes.empty() ? "" : profile.processes[0].executable;
    for (const bool of_program : {true, false}) {
      for (const ShapedFrame& frame : shaped_.frames) {
        if (frame.code.module.empty() || (frame.code.module == program) != of_program) continue;
        MappedFile& file = files_[{frame.code.module, frame.code.build_id}];
        if (file.id == 0) file.id = files_.size();
        file.limit = std::max(file.limit, frame.code.address % kRangeOfFile + 1);
      }
    }
  }

  void write_mappings(pbf_writer& to) {
    std::vector<const decltype(files_)::value_type*> in_order(files_.size());
    for (const auto& entry : files_) in_order[entry.second.id - 1] = &entry;
    for (const auto* entry : in_order) {
      const auto& [key, file] = *entry;
      pbf_writer message(to, profile::kMapping);
      message.add_uint64(mapping::kId, file.id);
      message.add_uint64(mapping::kMemoryStart, file.base());
      message.add_uint64(mapping::kMemoryLimit, file.base() + file.limit);
      message.add_int64(mapping::kFilename, strings_.index(recording::escape_text(key.first)));
      message.add_int64(mapping::kBuildId, strings_.index(key.second));
      // All that can be told is told: nothing is left for pprof to look up.
      for (const auto known : {mapping::kHasFunctions, mapping::kHasFilenames,
                               mapping::kHasLineNumbers, mapping::kHasInlineFrames})
        message.add_bool(known, true);
    }
  }

  // A frame is a function of its own and a location of its own, both numbered from 1.
  void write_frame(pbf_writer& to, std::size_t index) {
    const ShapedFrame& frame = shaped_.frames[index];
    {
      pbf_writer place(to, profile::kLocation);
      place.add_uint64(location::kId, index + 1);
      if (!frame.code.module.empty()) {
        const MappedFile& file = files_.at({frame.code.module, frame.code.build_id});
        place.add_uint64(location::kMappingId, file.id);
        place.add_uint64(location::kAddress, file.base() + frame.code.address % kRangeOfFile);
      }
      pbf_writer at(place, location::kLine);
      at.add_uint64(line::kFunctionId, index + 1);
      if (frame.line > 0) at.add_int64(line::kLine, frame.line);
    }
    pbf_writer called(to, profile::kFunction);
    const std::int64_t name = strings_.index(recording::escape_text(frame.function));
    called.add_uint64(function::kId, index + 1);
    called.add_int64(function::kName, name);
    called.add_int64(function::kFilename, strings_.index(recording::escape_text(frame.file)));
  }

  const recording::ShapedProfile& shaped_;
  std::string data_;
  Strings strings_;
  std::map<std::pair<std::string, std::string>, MappedFile> files_;  // by path and build id
};

}  // namespace

Result<Unit> write_pprof(const recording::Profile& profile, const FormatOptions& options,
                         std::ostream& out) {
  const auto shaped = recording::shape_stacks(profile, options.shape, options.amount);
  return write_gzip(ProfileEncoder(shaped).encode(profile, options.amount), GzipLevel::kFast, out);
}

}  // namespace memspy::sinks

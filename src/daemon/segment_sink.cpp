#include "daemon/segment_sink.h"

#include <sys/stat.h>
#include <unistd.h>

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "recording/tee_sink.h"

namespace memspy::daemon {
namespace {

using std::chrono::nanoseconds;

constexpr int kNameTries = 100;

std::uint64_t file_bytes(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace

struct SegmentSink::Segment {
  std::unique_ptr<recording::Writer> writer;
  recording::Profile sums;
  std::optional<recording::TeeSink> both;  // the file, and the sums for its summary
  std::optional<Numbering> numbers;
};

SegmentSink::SegmentSink(SegmentOptions options) : options_(std::move(options)) {}

SegmentSink::~SegmentSink() { close_segment("the end of the tracer"); }

std::uint64_t SegmentSink::written_bytes() const {
  return file_bytes(path_) + file_bytes(path_ + "-wal");
}

// What the sink cannot take is no reason to let go of the target.
Result<Unit> SegmentSink::pass(Result<Unit> result) {
  if (result.has_value()) return result;
  trouble_ = describe(result.error());
  if (!lost_since_) lost_since_ = last_;
  records_.direct(nullptr, {});
  segment_.reset();
  path_.clear();
  return Unit{};
}

Result<Unit> SegmentSink::on_header(const RunHeader& header) {
  header_ = header;
  open_segment({});
  return Unit{};
}

void SegmentSink::open_segment(nanoseconds time) {
  RunHeader header = header_;
  header.wall_start += time;
  auto segment = std::make_unique<Segment>();
  ::mkdir(options_.folder.c_str(), 0700);  // it may have been taken away while it was empty
  std::string path;
  // Two segments of one millisecond: a wall clock that was set back.
  for (int i = 0; i < kNameTries && !segment->writer; ++i) {
    const auto stamp = std::chrono::duration_cast<std::chrono::milliseconds>(header.wall_start);
    path = fmt::format("{}/{}.memspy", options_.folder, stamp.count() + i);
    if (::access(path.c_str(), F_OK) == 0) continue;
    auto writer = recording::Writer::create(path);
    if (!writer.has_value()) return static_cast<void>(pass(std::move(writer).error()));
    segment->writer = std::move(*writer);
  }
  if (!segment->writer) {
    trouble_ = "no free name for a segment in " + options_.folder;
    return;
  }
  segment->sums.keep_points = false;
  segment->both.emplace(std::vector<SampleSink*>{segment->writer.get(), &segment->sums});
  segment->numbers.emplace(*segment->both);
  if (auto told = segment->both->on_header(header); !told.has_value())
    return static_cast<void>(pass(std::move(told)));
  segment_ = std::move(segment);
  path_ = path;
  begin_ = time;
  trouble_.clear();
  records_.direct(&*segment_->numbers, -time);
  if (!lost_since_) return;
  const nanoseconds since = *std::exchange(lost_since_, std::nullopt);
  static_cast<void>(pass(segment_->both->on_gap(
      {nanoseconds(0), time - since, {}, "no room on the disk: what came meanwhile is lost", 0})));
}

Result<Unit> SegmentSink::on_tick_end(nanoseconds time) {
  MEMSPY_CHECK(pass(records_.on_tick_end(time)));
  last_ = time;
  if (!segment_) {
    open_segment(time);
  } else if (time - begin_ >= options_.length || written_bytes() >= options_.most_bytes) {
    close_segment("the length of a segment");
    open_segment(time);
  }
  return Unit{};
}

void SegmentSink::close_segment(const std::string& why) {
  if (!segment_) return;
  const auto totals = segment_->sums.totals();
  RunSummary summary;
  summary.duration = last_ - begin_;
  summary.samples = totals.samples;
  summary.attributed_bytes = totals.attributed_bytes;
  summary.unattributed_bytes = totals.unattributed_bytes;
  summary.growth_bytes = totals.growth_bytes();
  summary.shrink_bytes = totals.shrink_bytes;
  summary.ended_by = why;
  // Should the disk be full: what is in the file is read without a summary as well.
  static_cast<void>(segment_->writer->finish(summary));
  records_.direct(nullptr, {});
  segment_.reset();
  path_.clear();
}

Result<Unit> SegmentSink::finish(const RunSummary& summary) {
  close_segment(summary.ended_by);
  return Unit{};
}

}  // namespace memspy::daemon

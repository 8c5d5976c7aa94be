#include "recording/tee_sink.h"

namespace memspy::recording {
namespace {

template <typename Call>
Result<Unit> for_each(const std::vector<SampleSink*>& sinks, const Call& call) {
  for (SampleSink* sink : sinks) MEMSPY_CHECK(call(*sink));
  return Unit{};
}

}  // namespace

Result<Unit> TeeSink::on_header(const RunHeader& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_header(record); });
}
Result<Unit> TeeSink::on_process(const ProcessRecord& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_process(record); });
}
Result<Unit> TeeSink::on_thread(const ThreadRecord& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_thread(record); });
}
Result<Unit> TeeSink::on_frame(FrameId id, const Frame& frame) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_frame(id, frame); });
}
Result<Unit> TeeSink::on_stack(StackId id, const StackTable::Node& node) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_stack(id, node); });
}
Result<Unit> TeeSink::on_point(const SeriesPoint& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_point(record); });
}
Result<Unit> TeeSink::on_growth(const GrowthRecord& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_growth(record); });
}
Result<Unit> TeeSink::on_unattributed(const UnattributedRecord& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_unattributed(record); });
}
Result<Unit> TeeSink::on_temporary(const TemporaryRecord& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_temporary(record); });
}

Result<Unit> TeeSink::on_live(const LiveRecord& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_live(record); });
}
Result<Unit> TeeSink::on_allocation(const AllocationRecord& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_allocation(record); });
}
Result<Unit> TeeSink::on_gap(const Gap& record) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_gap(record); });
}
Result<Unit> TeeSink::on_tick_end(std::chrono::nanoseconds time) {
  return for_each(sinks_, [&](SampleSink& sink) { return sink.on_tick_end(time); });
}
// All are finished, so that a full disk for one does not lose the others; the first error is kept.
Result<Unit> TeeSink::finish(const RunSummary& summary) {
  Result<Unit> result = Unit{};
  for (SampleSink* sink : sinks_) {
    auto finished = sink->finish(summary);
    if (!finished.has_value() && result.has_value()) result = std::move(finished);
  }
  return result;
}

}  // namespace memspy::recording

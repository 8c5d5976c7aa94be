#include "recording/shaped_timeline.h"

#include "recording/frame_interner.h"

namespace memspy::recording {
namespace {

class Nodes {
 public:
  Nodes(const Profile& profile, const StackShape& shape, std::vector<ShapedTimeline::Node>& nodes)
      : frames_(profile, shape), shape_(shape), nodes_(&nodes) {
    nodes_->push_back({});
  }

  std::uint32_t of(const ProfileKey& key) {
    // What the shape does not show does not tell stacks apart.
    const ProfileKey shown{shape_.processes ? key.process : ProcessIndex{},
                           shape_.threads ? key.thread : ThreadIndex{}, key.stack};
    const auto [known, fresh] = by_key_.try_emplace(shown, 0);
    if (fresh) {
      for (const std::uint32_t frame : frames_.stack(key))
        known->second = child(known->second, frame);
    }
    return known->second;
  }
  std::vector<ShapedFrame> take() && { return std::move(frames_).take(); }

 private:
  std::uint32_t child(std::uint32_t parent, std::uint32_t frame) {
    const auto [it, fresh] = index_.try_emplace(std::uint64_t{parent} << 32 | frame,
                                                static_cast<std::uint32_t>(nodes_->size()));
    if (fresh) nodes_->push_back({parent, frame});
    return it->second;
  }

  FrameInterner frames_;
  StackShape shape_;
  std::vector<ShapedTimeline::Node>* nodes_;
  std::map<ProfileKey, std::uint32_t> by_key_;
  std::unordered_map<std::uint64_t, std::uint32_t> index_;
};

// Keys that look the same stand in one cell.
void add_cell(ShapedTimeline& out, const StackTimeline::Record& record, std::uint32_t node) {
  if (out.cells.empty() || out.cells.back().bucket != record.bucket ||
      out.cells.back().node != node) {
    out.cells.push_back({record.bucket, node, record.amount, record.returned, record.samples});
    return;
  }
  auto& cell = out.cells.back();
  cell.amount += record.amount;
  cell.returned += record.returned;
  cell.samples += record.samples;
}

void add_cpu(ShapedTimeline& out, const StackTimeline::Record& record) {
  if (out.cpu.empty() || out.cpu.back().bucket != record.bucket)
    out.cpu.push_back({record.bucket, 0});
  out.cpu.back().nanoseconds += record.amount;
}

}  // namespace

ShapedTimeline shape_timeline(const Profile& profile, const StackShape& shape) {
  ShapedTimeline out;
  out.measure = profile.measure();
  const bool time = out.measure == Measure::kMicroseconds;
  const StackTimeline& timeline = profile.timeline;
  out.width = timeline.width();
  Nodes nodes(profile, shape, out.nodes);
  out.cells.reserve(timeline.records().size());
  for (const auto& record : timeline.records()) {
    if (time) add_cpu(out, record);
    if (time && record.stack == kNoStack) continue;
    add_cell(out, record, nodes.of({record.process, record.thread, record.stack}));
  }
  for (const auto& rest : timeline.rests())
    out.rests.push_back(
        {rest.bucket, rest.process.value, nodes.of({rest.process, {}, kNoStack}), rest.bytes});
  out.frames = std::move(nodes).take();
  return out;
}

}  // namespace memspy::recording

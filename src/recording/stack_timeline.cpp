#include "recording/stack_timeline.h"

#include <algorithm>
#include <utility>

namespace memspy::recording {
namespace {

constexpr std::chrono::nanoseconds kShortest = std::chrono::milliseconds(1);
constexpr std::chrono::nanoseconds kLongest = std::chrono::hours(24);

// Hostile figures wrap.
void add_wrapping(std::int64_t& sum, std::int64_t bytes) {
  sum = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) +
                                  static_cast<std::uint64_t>(bytes));
}

}  // namespace

std::size_t StackTimeline::KeyHash::operator()(const Key& key) const {
  std::uint64_t mixed = (std::uint64_t{key.process} << 32 | key.thread) * 0x9e3779b97f4a7c15ULL;
  mixed = (mixed ^ (mixed >> 29) ^ key.stack) * 0xbf58476d1ce4e5b9ULL;
  return mixed ^ (mixed >> 32);
}

void StackTimeline::set_interval(std::chrono::nanoseconds interval) {
  interval_ = std::clamp(interval, kShortest, kLongest);
}

// To the nearest tick: one comes a little after its time.
std::uint64_t StackTimeline::bucket_at(std::chrono::nanoseconds time) const {
  const auto tick = (time / interval_) + (time % interval_ >= interval_ / 2 ? 1 : 0);
  const std::uint64_t bucket = tick <= 1 ? 0 : static_cast<std::uint64_t>((tick - 1) / factor_);
  const std::uint64_t grown = records_.empty() ? 0 : records_.back().bucket;
  return std::max({bucket, grown, rests_.empty() ? 0 : rests_.back().bucket});
}

void StackTimeline::put(std::vector<Record>& to, Places& places, const Record& record) {
  if (!to.empty() && to.back().bucket != record.bucket) places.clear();
  const Key key{record.process.value, record.thread.value, record.stack.value};
  const auto [place, fresh] = places.try_emplace(key, to.size());
  if (fresh) {
    to.push_back(record);
    return;
  }
  Record& sum = to[place->second];
  sum.amount += record.amount;
  sum.returned += record.returned;
  sum.samples += record.samples;
}

void StackTimeline::put(std::vector<Rest>& to, RestPlaces& places, const Rest& rest) {
  if (!to.empty() && to.back().bucket != rest.bucket) places.clear();
  const auto [place, fresh] = places.try_emplace(rest.process.value, to.size());
  if (fresh) {
    to.push_back(rest);
  } else {
    add_wrapping(to[place->second].bytes, rest.bytes);
  }
}

void StackTimeline::add(const Record& record) {
  put(records_, places_, record);
  keys_.insert({record.process.value, record.thread.value, record.stack.value});
  while (too_many()) coarsen();
}

void StackTimeline::add(const GrowthRecord& growth) {
  add(Record{bucket_at(growth.time), growth.process, growth.thread, growth.stack,
             growth.touched_bytes, growth.returned_bytes, growth.samples});
}

void StackTimeline::add(const AllocationRecord& allocation) {
  const auto time = std::max<std::int64_t>(0, allocation.cpu_time.count());
  add(Record{bucket_at(allocation.time), allocation.process, allocation.thread, allocation.stack,
             static_cast<std::uint64_t>(time), 0, allocation.samples});
}

void StackTimeline::add(const UnattributedRecord& rest) {
  put(rests_, rest_places_, {bucket_at(rest.time), rest.process, rest.bytes});
  rests_of_.insert(rest.process.value);
  while (too_many()) coarsen();
}

// A stack, and a process, has one record at least, however long the buckets are: where there is one
// bucket there is nothing left to do.
bool StackTimeline::too_many() const {
  if (records_.size() + rests_.size() <= std::max(max_, 4 * (keys_.size() + rests_of_.size())))
    return false;
  const auto several = [](const auto& list) {
    return !list.empty() && list.front().bucket != list.back().bucket;
  };
  return (several(records_) || several(rests_)) && width() <= std::chrono::nanoseconds::max() / 2;
}

void StackTimeline::coarsen() {
  factor_ *= 2;
  const auto records = std::exchange(records_, {});
  places_.clear();
  for (Record record : records) {
    record.bucket /= 2;
    put(records_, places_, record);
  }
  const auto rests = std::exchange(rests_, {});
  rest_places_.clear();
  for (Rest rest : rests) {
    rest.bucket /= 2;
    put(rests_, rest_places_, rest);
  }
}

void StackTimeline::rename(const std::function<StackId(StackId)>& name) {
  const auto records = std::exchange(records_, {});
  places_.clear();
  for (Record record : records) {
    record.stack = name(record.stack);
    put(records_, places_, record);
  }
}

}  // namespace memspy::recording

// What stacks did, by time: growth, or CPU time of mode alloc, for outputs in which a person
// chooses the window later. Time is cut into buckets of one length, a tick long at first; where
// there would be too many records, buckets become longer. There are at most `kMaxTimelineRecords`,
// of stacks and of what no stack explains together, or four for each distinct stack and process.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "memspy/sample.h"

namespace memspy::recording {

inline constexpr std::size_t kMaxTimelineRecords = 400'000;

class StackTimeline {
 public:
  struct Record {
    std::uint64_t bucket = 0;
    ProcessIndex process;
    ThreadIndex thread;
    StackId stack;  // kNoStack: growth that no stack explains; time in which nothing was allocated
    std::uint64_t amount = 0;    // bytes that were touched; nanoseconds
    std::uint64_t returned = 0;  // bytes of them, given back
    std::uint64_t samples = 0;
  };
  struct Rest {
    std::uint64_t bucket = 0;
    ProcessIndex process;
    std::int64_t bytes = 0;
  };

  explicit StackTimeline(std::size_t max_records = kMaxTimelineRecords) : max_(max_records) {}

  // Before the first record; that of ticks.
  void set_interval(std::chrono::nanoseconds interval);
  // In order of time, as a run tells them; what comes late counts to the newest bucket.
  void add(const GrowthRecord& growth);
  void add(const AllocationRecord& allocation);
  void add(const UnattributedRecord& rest);

  // Stacks have got other ids.
  void rename(const std::function<StackId(StackId)>& name);

  // Bucket i is what ticks at (i * width, (i + 1) * width] have closed, give or take how late a
  // tick may come.
  std::chrono::nanoseconds width() const { return interval_ * factor_; }
  const std::vector<Record>& records() const { return records_; }  // ascending by bucket
  const std::vector<Rest>& rests() const { return rests_; }        // the same

 private:
  struct Key {
    std::uint32_t process, thread, stack;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  // Where a key's record of the newest bucket stands; of rests, a process'.
  using Places = std::unordered_map<Key, std::size_t, KeyHash>;
  using RestPlaces = std::unordered_map<std::uint32_t, std::size_t>;

  void add(const Record& record);
  std::uint64_t bucket_at(std::chrono::nanoseconds time) const;
  static void put(std::vector<Record>& to, Places& places, const Record& record);
  static void put(std::vector<Rest>& to, RestPlaces& places, const Rest& rest);
  bool too_many() const;
  void coarsen();

  std::size_t max_;
  std::chrono::nanoseconds interval_{std::chrono::seconds(1)};
  std::int64_t factor_ = 1;
  std::vector<Record> records_;
  std::vector<Rest> rests_;
  Places places_;
  RestPlaces rest_places_;
  std::unordered_set<Key, KeyHash> keys_;       // all there were
  std::unordered_set<std::uint32_t> rests_of_;  // processes, the same
};

}  // namespace memspy::recording

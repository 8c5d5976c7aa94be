// What two looks and more come to: which kind of memory grew.
#include <gmock/gmock.h>

#include <chrono>

#include "heap/heap_look.h"
#include "heap/ledger.h"
#include "support/result_matchers.h"
#include "support/snapshot_builder.h"

namespace memspy::heap {
namespace {

using memspy::testing::HeapSample;
using memspy::testing::IsOk;
using memspy::testing::sample_heap;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class GrowthVerdict : public ::testing::Test {
 protected:
  // A look a minute after the last one; its ledger holds `bytes` in the row of this name.
  void look(std::uint32_t sessions, std::string_view row = "", std::uint64_t bytes = 0) {
    HeapSample heap = sample_heap(sessions);
    heap.snapshot.header.process = {{4242}, 1};
    heap.snapshot.header.wall_time += std::chrono::minutes(heaps_.size());
    heap.snapshot.header.rss_bytes = 100 << 20;
    heap.snapshot.ledger = {{std::string(kLiveRow) + "dict", 50 << 20, {}}};
    if (!row.empty()) heap.snapshot.ledger.push_back({std::string(row), bytes, {}});
    heaps_.push_back(std::move(heap));
  }
  std::string verdict() const {
    std::vector<snapshot::Look> looks;
    for (const HeapSample& heap : heaps_) looks.push_back(heap.look());
    const auto diff = snapshot::diff_snapshots(looks);
    EXPECT_THAT(diff, IsOk());
    return verdict_of_growth(looks, *diff);
  }

  std::vector<HeapSample> heaps_;
};

constexpr std::uint64_t kMiB = 1 << 20;

TEST_F(GrowthVerdict, ObjectsThatGrowAreNamedWithTheirOwner) {
  look(3);
  look(60);
  look(120);
  EXPECT_THAT(verdict(), AllOf(StartsWith("objects are growing: builtins.bytes grew by +"),
                               HasSubstr("app.SESSIONS holds +"), HasSubstr("/min"),
                               HasSubstr("RSS did not change")));
}

TEST_F(GrowthVerdict, WhatHasFilledUpDoesNotGrow) {
  look(3);
  look(120);
  look(120);
  EXPECT_THAT(verdict(), StartsWith("steady: no kind of memory grew from each look to the next"));
}

TEST_F(GrowthVerdict, NothingAtAll) {
  look(3);
  look(3);
  EXPECT_THAT(verdict(), StartsWith("steady: "));
}

TEST_F(GrowthVerdict, OtherKindsOfMemoryAreToldByTheirRows) {
  struct Case {
    std::string_view row, says;
  };
  for (const Case& each : {Case{kMallocLiveMappedRow, "native memory is growing: +20.0 MiB"},
                           Case{"jemalloc, live and free", "native memory is growing: +20.0 MiB"},
                           Case{kUnexplainedRow, "native memory is growing: +20.0 MiB"},
                           Case{kPoolEmptyRow, "freed memory is growing: +20.0 MiB"},
                           Case{kMallocFreeThreadsRow, "freed memory is growing: +20.0 MiB"},
                           Case{kFilesRow, "files or shared memory are growing: +20.0 MiB"},
                           Case{kStacksRow, "threads are growing: their stacks have +20.0 MiB"}}) {
    heaps_.clear();
    look(3, each.row, 10 * kMiB);
    look(3, each.row, 30 * kMiB);
    EXPECT_THAT(verdict(), StartsWith(std::string(each.says))) << each.row;
  }
}

TEST_F(GrowthVerdict, ObjectsComeSecondOnlyToWhatIsMuchMore) {
  look(3, kUnexplainedRow, 10 * kMiB);
  look(120, kUnexplainedRow, 30 * kMiB);
  EXPECT_THAT(verdict(), AllOf(StartsWith("native memory is growing"),
                               HasSubstr("Besides, objects are growing: ")));
}

TEST_F(GrowthVerdict, OfTwoProcessesNothingGrows) {
  look(3);
  look(60);
  heaps_.back().snapshot.header.process = {{4243}, 1};
  EXPECT_THAT(verdict(),
              AllOf(StartsWith("not one process: "), Not(HasSubstr("growing")), HasSubstr("app.")));
}

}  // namespace
}  // namespace memspy::heap

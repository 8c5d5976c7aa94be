#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace memspy {
namespace {

TEST(Parallel, SharesAreAllOfItOnce) {
  for (const std::uint64_t items : {0ULL, 1ULL, 7ULL, 100'003ULL, (1ULL << 40) + 3}) {
    for (unsigned workers = 1; workers <= kMaxWorkers; ++workers) {
      EXPECT_EQ(share_begin(items, 0, workers), 0U);
      EXPECT_EQ(share_begin(items, workers, workers), items);
      for (unsigned i = 0; i < workers; ++i)
        EXPECT_LE(share_begin(items, i, workers), share_begin(items, i + 1, workers));
    }
  }
}

TEST(Parallel, EveryItemIsWorkedOnOnce) {
  std::vector<int> seen(kWorthAWorker * 5);
  in_shares(seen.size(), [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; ++i) ++seen[i];
  });
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<std::ptrdiff_t>(seen.size()));
}

TEST(Parallel, AFewItemsAreTheCallersOwn) {
  EXPECT_EQ(workers_for(0), 1U);
  EXPECT_EQ(workers_for(kWorthAWorker - 1), 1U);
  EXPECT_LE(workers_for(UINT64_MAX), kMaxWorkers);
}

TEST(Parallel, WhatAWorkerThrowsIsThrownWhenAllHaveEnded) {
  std::atomic<int> ended = 0;
  const auto work = [&](unsigned worker) {
    if (worker == 1) throw std::runtime_error("no memory");
    ++ended;
  };
  EXPECT_THROW(in_parallel(3, work), std::runtime_error);
  EXPECT_EQ(ended, 2);
}

}  // namespace
}  // namespace memspy

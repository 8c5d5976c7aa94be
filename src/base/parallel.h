// Work shared by the processors: a few threads for as long as a step lasts. What they write must
// not overlap; which of them does what follows from its number alone, so results are the same every
// time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace memspy {

inline constexpr unsigned kMaxWorkers = 4;  // memory is the limit behind that
inline constexpr std::uint64_t kWorthAWorker = 50'000;

// How many workers pay for so many small items.
inline unsigned workers_for(std::uint64_t items) {
  const std::uint64_t useful = 1 + items / kWorthAWorker;
  const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
  return static_cast<unsigned>(std::min<std::uint64_t>({useful, processors, kMaxWorkers}));
}

// Where the share of a worker begins; that of `workers` is the end of all.
inline std::uint64_t share_begin(std::uint64_t items, unsigned worker, unsigned workers) {
  return items / workers * worker + items % workers * worker / workers;
}

// Calls work(0) to work(workers - 1) at the same time, the first here, and with it those for which
// there is no thread to be had (a limit on processes). What one of them throws is thrown here when
// all have ended.
template <typename Work>
void in_parallel(unsigned workers, const Work& work) {
  std::vector<std::exception_ptr> thrown(workers);
  const auto guarded = [&](unsigned worker) {
    try {
      work(worker);
    } catch (...) {
      thrown[worker] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    unsigned started = 1;
    try {
      others.reserve(workers);
      for (; started < workers; ++started) others.emplace_back(guarded, started);
    } catch (const std::system_error&) {
    }
    guarded(0);
    for (unsigned worker = started; worker < workers; ++worker) guarded(worker);
  }
  for (const auto& error : thrown) {
    if (error) std::rethrow_exception(error);
  }
}

// The same for ranges of items: work(begin, end).
template <typename Work>
void in_shares(std::uint64_t items, const Work& work) {
  const unsigned workers = workers_for(items);
  in_parallel(workers, [&](unsigned worker) {
    work(share_begin(items, worker, workers), share_begin(items, worker + 1, workers));
  });
}

}  // namespace memspy

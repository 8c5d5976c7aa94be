// The heap census of `top`: one look at the heap of a process that is being sampled, on a thread of
// its own, reduced to what a screen shows. The copy and the graph are gone when it is there.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cli/env.h"
#include "cli/options.h"
#include "report/heap_census.h"

namespace memspy::cli {

class TopSession;

struct CensusRow {
  report::HeapRow heap;
  std::optional<std::int64_t> grown_bytes;  // since the first census, or the last reset
};

struct TopCensus {
  std::string facts;  // "1 204 331 objects, 101 MiB; 97 % of RSS explained, paused 21 ms, 14:03:12"
  std::vector<CensusRow> types, owners;  // by bytes
  std::uint64_t objects = 0, bytes = 0;
  std::string caveats, verdict;
};

// Bytes by name, to tell growth by; of types and of owners.
struct CensusBaseline {
  std::map<std::string, std::uint64_t> types, owners;
};
CensusBaseline baseline_of(const TopCensus& census);
// `baseline` null: nothing to compare with.
TopCensus make_census(const snapshot::Look& look, std::string verdict,
                      const CensusBaseline* baseline);

class CensusTaker {
 public:
  CensusTaker(TopSession& session, const SamplingOptions& sampling, Env& env)
      : session_(session), sampling_(sampling), env_(env) {}
  // Waits for a census under way, which ends at its next phase.
  ~CensusTaker();
  CensusTaker(const CensusTaker&) = delete;
  CensusTaker& operator=(const CensusTaker&) = delete;

  // Begins one, unless one is under way.
  void start();
  bool busy() const { return thread_.joinable(); }
  // "heap census: following references 42 %"
  std::string progress() const;
  // The result of start(), once.
  std::optional<Result<TopCensus>> poll();
  // Growth counts from the newest census on.
  void reset_baseline();

 private:
  Result<TopCensus> take();

  TopSession& session_;
  const SamplingOptions& sampling_;
  Env& env_;
  std::thread thread_;
  std::atomic<bool> cancelled_{false}, done_{false};
  std::atomic<const char*> phase_{"begins"};
  std::atomic<double> share_{0};
  std::optional<Result<TopCensus>> result_;  // the thread's until done_
  std::optional<CensusBaseline> baseline_, newest_;
};

}  // namespace memspy::cli

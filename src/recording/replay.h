// One walk through a recording's tables into a sink. Private to recording.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "memspy/sample_sink.h"
#include "recording/sqlite_db.h"
#include "recording/table_scan.h"

namespace memspy::recording {

// The columns of a points row that this build knows, with their place in a `SELECT id, *`.
struct PointColumns {
  int tick = -1, time = -1, process = -1;
  std::vector<std::pair<int, SeriesColumn>> values;
};

class Replay {
 public:
  Replay(Database& db, SampleSink& sink) : db_(&db), sink_(&sink) {}

  // `summary` absent: the run has not ended in order; one is made of what the recording holds.
  Result<Unit> run(const RunHeader& header, const std::optional<RunSummary>& summary);
  // What could not be read; a line each.
  const std::vector<std::string>& damage() const { return damage_; }

 private:
  struct Lane {  // a table whose rows belong to ticks: column 1 is the tick
    TableScan scan;
    std::function<Result<Unit>(const Statement&)> emit;
  };

  Result<Unit> define_frames();
  Result<Unit> define_stacks();
  Result<Unit> define_lost_stack(std::uint32_t id);
  std::vector<Lane> lanes();
  Lane point_lane();
  Result<Unit> emit_growth(const Statement& row);
  Result<Unit> emit_live(const Statement& row);
  Result<Unit> emit_temporary(const Statement& row);
  Result<Unit> emit_allocation(const Statement& row);
  Result<Unit> emit_point(const Statement& row, const PointColumns& columns);
  bool known_process(std::int64_t index);
  RunSummary reconstructed() const;

  Database* db_;
  SampleSink* sink_;
  std::vector<std::string> damage_;
  std::uint32_t frame_count_ = 0;
  std::vector<std::uint16_t> depth_;  // of each stack, by id - 1
  std::int64_t max_process_ = 0, max_thread_ = 0;
  std::uint64_t lost_stacks_ = 0, lost_rows_ = 0;

  // For a run without a summary.
  struct Rss {
    double start = 0, end = 0, peak = 0;
    bool seen = false, reconciled = false;
  };
  std::map<std::uint32_t, Rss> rss_;
  std::map<std::uint32_t, std::int64_t> unattributed_;
  std::int64_t attributed_ = 0;
  RunSummary so_far_;
};

}  // namespace memspy::recording

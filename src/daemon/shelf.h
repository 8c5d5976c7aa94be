// Where recordings stand on disk, and which of them go when they are too old or too many:
//
//   STATE_DIR/series/MS.memspy              the cheap figures of all targets
//   STATE_DIR/history/MS.memspy             of those a point a minute, kept for longer
//   STATE_DIR/targets/PID-START/MS.memspy   a target's growth, while it was traced
//
// MS: milliseconds since the epoch at the segment's beginning. Age is by the steady clock, so that
// a step of the wall clock ages nothing.
//
// One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "daemon/config.h"
#include "memspy/process.h"
#include "memspy/result.h"

namespace memspy::daemon {

struct ShelfFile {
  std::string path;
  std::string owner;               // "PID-START"; "" for the series of all
  std::uint64_t bytes = 0;         // with its -wal and -shm
  std::chrono::nanoseconds age{};  // since it was written to last
  bool history = false;
};

// What has to go, by place in `files`: beyond `keep` (`history`), then beyond the cap of its owner,
// then beyond that of all, then as much as `needed_bytes` of the disk; the oldest first, and the
// history after all else: it is small, and old on purpose. What was written to just now belongs to
// somebody who is at it, and stays: it ends by its own length and size.
std::vector<std::size_t> plan_removal(const std::vector<ShelfFile>& files,
                                      const RecorderConfig& limits, std::uint64_t needed_bytes);

// "4242-1234567", the name of a target's folder.
std::string owner_name(const ProcessIdentity& identity);

class Shelf {
 public:
  explicit Shelf(std::string state_dir) : root_(std::move(state_dir)) {}

  // Makes the folders. kOutput: they cannot be made, or are not ours alone.
  Result<Unit> prepare() const;
  std::string series_folder() const { return root_ + "/series"; }
  std::string history_folder() const { return root_ + "/history"; }
  Result<std::string> target_folder(const ProcessIdentity& identity) const;  // made if need be

  // Since a segment of this target was written to last; nullopt: there is none.
  std::optional<std::chrono::nanoseconds> newest_age(const ProcessIdentity& identity) const;

  std::vector<ShelfFile> list(SteadyTime now);
  // Removes what plan_removal() says; how much that was.
  struct Removed {
    std::size_t files = 0;
    std::uint64_t bytes = 0;
  };
  Removed tidy(const RecorderConfig& limits, SteadyTime now);
  // Bytes of all that is left, and of each owner, as of the last tidy().
  std::uint64_t total_bytes() const { return total_bytes_; }
  const std::map<std::string, std::uint64_t>& owners() const { return owner_bytes_; }

 private:
  struct Seen {
    std::uint64_t bytes = 0;
    SteadyTime changed{};
  };
  void list_folder(const std::string& folder, const ShelfFile& kind, SteadyTime now,
                   std::vector<ShelfFile>& out);
  std::uint64_t missing_bytes(const RecorderConfig& limits) const;
  std::string root_;
  std::map<std::string, Seen> seen_;
  std::uint64_t total_bytes_ = 0;
  std::map<std::string, std::uint64_t> owner_bytes_;
};

}  // namespace memspy::daemon

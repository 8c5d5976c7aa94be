// What there is to look at when an alert has fired: one folder with
//
//   alert.json      what was told
//   alerts.jsonl    that, and what was told of this target in the time before
//   dump.json       the stack of every thread (memspy.dump/1)
//   heap.json       the heap by types and owners, with the ledger of RSS
//   heap.memsnap    every object and reference, where it is not too large to keep
//   live.memspy     who makes the heap grow, by mode live, for the seconds that there are
//   growth.memspy   who made it grow: the recording of the time before, figures and stacks
//   series.memspy   its cheap figures alone
//   history.memspy  the same of days, a point a minute
//   growing.json    since when RSS grows, as far as that is told by these (memspy.growing/1)
//   report.html     the page of growth and heap
//   verdict.txt     the sentence that each of these ends in: where to begin
//   missing.txt     what is not here, and why
//
// Gathered one at a time on a thread of its own, the target that has the least time left first, and
// of each the quickest first.
// Looks are done by memspy itself as child processes, whose copies of memory go to the folder, not
// to memory. The folder has the suffix .part until it is whole.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/alert_book.h"
#include "daemon/alert_history.h"
#include "daemon/evidence_verdict.h"
#include "daemon/recorded_window.h"
#include "memspy/result.h"

namespace memspy::daemon {

struct EvidenceOrder {
  AlertEvent event;            // `evidence` is the folder that is to be
  WallWindow window, history;  // of what was recorded, and of the figures a minute each
  bool alive = true;           // there is a process to look at
};

class Evidence {
 public:
  using Log = std::function<void(const std::string&)>;
  // `program`: memspy, without a verb. `history` outlives this.
  static Result<std::unique_ptr<Evidence>> open(const std::string& state_dir,
                                                std::vector<std::string> program,
                                                const AlertHistory& history, Log log);
  ~Evidence();  // what is under way is cut short
  Evidence(const Evidence&) = delete;
  Evidence& operator=(const Evidence&) = delete;

  // What all bundles may have together, and have.
  void set_most_bytes(std::uint64_t bytes) { most_bytes_ = bytes; }
  std::uint64_t bytes() const { return bytes_; }
  // Where the evidence of this event will be.
  std::string folder_of(const std::string& event_id) const { return folder_ + "/" + event_id; }
  // Who has the least time left comes first. Nobody traces the target while this wants() it. False:
  // too many wait.
  bool add(EvidenceOrder order);
  // It is looked at, or will be.
  bool wants(const ProcessIdentity& target);

 private:
  // One that is being gathered.
  struct Bundle {
    const EvidenceOrder& order;
    std::string folder;
    std::string missing;  // lines: what is not there, and why
    bool ended = false;   // the process: there is nothing to look at any more
    std::string path(const char* name) const { return folder + "/" + name; }
  };
  Evidence(std::string state_dir, std::vector<std::string> program, const AlertHistory& history,
           Log log);
  void run();
  void gather(const EvidenceOrder& order);
  // Whether memspy ended well; else missing.txt has, for `name`, how. Its standard output goes to
  // the file `output`, or to `printed`.
  bool ran(Bundle& bundle, const std::vector<std::string>& arguments, const char* name,
           std::chrono::nanoseconds patience, const std::string& output,
           std::string* printed) const;
  // How memspy makes a file: its standard output, a file that it names, or a recording, of which
  // what there is up to a sudden end is kept.
  enum class Made { kPrinted, kWritten, kRecorded };
  bool made(Bundle& bundle, std::vector<std::string> arguments, const char* name,
            std::chrono::nanoseconds patience, Made how = Made::kPrinted) const;
  // …of the process itself, which may end at any moment: of `verb` with its PID.
  bool seen(Bundle& bundle, const char* verb, const std::vector<std::string>& arguments,
            const char* name, std::chrono::nanoseconds patience, Made how = Made::kPrinted) const;
  void look(Bundle& bundle) const;
  void watch_heap(Bundle& bundle) const;
  void write_alerts(Bundle& bundle) const;
  void copy_recordings(Bundle& bundle) const;
  void write_start(Bundle& bundle) const;
  void write_page(Bundle& bundle, const std::string& verdict) const;
  std::string write_verdicts(Bundle& bundle) const;
  std::vector<EarlierVerdict> earlier_of(const Bundle& bundle) const;
  std::string verdict_of(Bundle& bundle, const std::vector<std::string>& report) const;
  void remove_old();

  std::string state_dir_, folder_;
  std::vector<std::string> program_;
  const AlertHistory& history_;
  Log log_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<EvidenceOrder> orders_;
  std::optional<ProcessIdentity> looked_at_;  // now
  std::atomic<bool> ending_{false};
  std::atomic<std::uint64_t> most_bytes_{RecorderConfig{}.evidence_bytes}, bytes_{0};
  std::thread thread_;
};

}  // namespace memspy::daemon

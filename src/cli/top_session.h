// The session behind `top`: samples on a thread of its own into a model that the screen reads under
// a mutex, and into a temporary recording, so that `w` can write what was seen. The recording has
// the addresses of native frames, the model their names.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "attach/process_image.h"
#include "cli/env.h"
#include "cli/naming_sink.h"
#include "cli/options.h"
#include "cli/sinks_live.h"
#include "cli/target_fate.h"
#include "cli/top_model.h"
#include "cli/top_view.h"
#include "recording/recording.h"
#include "recording/tee_sink.h"
#include "symbolize/symbolizer.h"

namespace memspy::cli {

class TopSession {
 public:
  static Result<std::unique_ptr<TopSession>> start(Pid pid, const SamplingOptions& sampling,
                                                   Env& env);
  // Ends the session, releases the target, removes the temporary recording.
  ~TopSession();
  TopSession(const TopSession&) = delete;
  TopSession& operator=(const TopSession&) = delete;

  // The model as it is now, for as long as the lock lives.
  struct View {
    std::unique_lock<std::mutex> lock;
    TopModel& model;
  };
  View view() { return {std::unique_lock(mutex_), model_}; }
  // The time of the last tick that the model holds.
  std::chrono::nanoseconds last_tick() { return view().model.profile().last_time; }
  TopHead head() const;
  bool ended() const { return ended_; }
  // What ended it, once it has ended: the summary's word, or the error.
  std::string ended_by();
  std::optional<Error> error();
  Pid pid() const { return target_.identity.pid; }
  // A still copy of its memory, for a look at its heap. Blocks; from any thread.
  Result<std::unique_ptr<attach::ProcessImage>> take_image(
      const attach::ImageOptions& options) const {
    return session_->take_image(pid(), options);
  }
  // Copies the run so far to a new file in the current folder; its name.
  Result<std::string> write_recording() const;
  // What is to be known of the process before anything is seen of it; "" as a rule.
  std::string start_note() const { return fate_->at_start(); }

 private:
  explicit TopSession(Env& env) : env_(&env), locked_(model_, mutex_) {}
  SampleSink& model_sink(Pid pid, bool native);
  void run();

  Env* env_;
  std::mutex mutex_;  // model_, ended_by_, error_
  TopModel model_;
  LockedSink locked_;
  // With --native, before the mutex; the session's thread's.
  std::optional<symbolize::Symbolizer> symbolizer_;
  std::optional<NamingSink> naming_;
  std::unique_ptr<recording::Writer> writer_;
  std::string recording_path_;  // "" when there is none
  std::optional<recording::TeeSink> tee_;
  std::unique_ptr<sampler::Session> session_;
  std::optional<TargetFate> fate_;
  ProcessRecord target_;  // as at the start: the session's own belongs to its thread
  std::string engine_;
  std::string ended_by_;
  std::optional<Error> error_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace memspy::cli

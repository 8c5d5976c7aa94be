// The files of `record`. A run is always recorded first, and what was asked for is derived from the
// recording: at the end, and at every checkpoint. When deriving fails, the recording is kept.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/env.h"
#include "memspy/result.h"
#include "recording/recording.h"
#include "sinks/output_file.h"
#include "sinks/sink_registry.h"

namespace memspy::cli {

struct OutputRequest {
  std::string output;      // "" : a name is made
  std::string format;      // "" : by the suffix of `output`
  std::string timeseries;  // "" : none
  bool force = false;
  sinks::FormatOptions shape;
  sinks::OutputFacts facts;  // as far as they are known before the session
};

class RecordOutputs {
 public:
  // Everything that can be refused is refused here, before a target is touched.
  static Result<std::unique_ptr<RecordOutputs>> plan(OutputRequest request, Env& env);
  // Without finish(): the recording goes if nothing was measured, else it stays.
  ~RecordOutputs();
  RecordOutputs(const RecordOutputs&) = delete;
  RecordOutputs& operator=(const RecordOutputs&) = delete;

  SampleSink& sink() { return *writer_; }
  // Who the target is, for %p and %n of a launched command.
  void set_target(Pid pid, const std::string& name);
  // Files of native frames, looked into by finish(): the run must be over then. Null: none.
  void set_modules(std::shared_ptr<const unwind::ModuleStore> modules) {
    modules_ = std::move(modules);
  }
  // From here on the recording is worth keeping.
  void set_worth_keeping() { worth_keeping_ = true; }

  // Writes valid outputs of the run so far.
  Result<Unit> checkpoint();
  // The final outputs; the path of the main one. After an error the recording is kept and named.
  Result<std::string> finish();

  // An error that ended the run, with the place of what was sampled before it.
  Error name_what_is_kept(Error error) const;

  const std::string& recording_path() const { return recording_path_; }
  const sinks::Format& format() const { return *format_; }
  bool to_standard_output() const { return request_.output == "-"; }

 private:
  RecordOutputs(OutputRequest request, Env& env) : request_(std::move(request)), env_(&env) {}
  Result<Unit> choose_formats();
  Result<Unit> open_files();
  Result<Unit> open_recording();
  Result<Unit> displace(const std::string& path);
  // Of native frames. While the run goes on the files are the tracer's, and DWARF takes too long.
  enum class Names { kFind, kNone };
  Result<Unit> derive(Names names);
  Result<std::string> finish_recording();
  std::string hidden_path() const;

  OutputRequest request_;
  Env* env_;
  const sinks::Format* format_ = nullptr;
  const sinks::Format* series_format_ = nullptr;
  std::optional<sinks::OutputFile> main_, series_;
  std::unique_ptr<recording::Writer> writer_;
  std::shared_ptr<const unwind::ModuleStore> modules_;
  std::string recording_path_;
  std::string displaced_;  // where the recording that --force replaces waits
  std::string written_;    // the path of the last derived output
  bool hidden_ = false;    // the recording is a means only
  bool created_ = false;   // the recording is ours to remove
  bool worth_keeping_ = false;
  bool done_ = false;
};

// The file of a recording and its two companions while it is open.
void remove_recording(const std::string& path);

}  // namespace memspy::cli

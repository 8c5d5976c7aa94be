#include "cli/record_outputs.h"

#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "cli/fd_output.h"
#include "cli/hints.h"
#include "cli/native_names.h"
#include "cli/report_options.h"
#include "recording/frame_names.h"
#include "recording/profile.h"

namespace memspy::cli {
namespace {

using sinks::Format;
using sinks::FormatKind;
using sinks::OutputFile;

constexpr std::array kCompanions{"", "-wal", "-shm"};

std::string format_names() {
  std::string names;
  for (const Format& format : sinks::formats()) {
    if (!names.empty()) names += ", ";
    names += format.name;
  }
  return names;
}

Result<const Format*> format_of(const std::string& name, const std::string& path) {
  if (!name.empty()) {
    if (const Format* format = sinks::find_format(name)) return format;
    return usage_error("there is no format \"" + name + "\"", "formats are " + format_names());
  }
  if (path == "-") return sinks::find_format("folded");
  if (const Format* format = sinks::find_format_for(path)) return format;
  return usage_error("the suffix of \"" + path + "\" names no format",
                     "formats are " + format_names(), "say which with -f");
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

bool regular_or_absent(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode);
}

std::string temporary_folder() {
  const char* folder = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe)
  return folder != nullptr && *folder != '\0' ? folder : "/tmp";
}

Result<Unit> rename_recording(const std::string& from, const std::string& to) {
  for (const char* companion : kCompanions) {
    if (!exists(from + companion)) continue;
    if (std::rename((from + companion).c_str(), (to + companion).c_str()) != 0)
      return make_error(Errc::kOutput, fmt::format("cannot rename {} to {}", from, to), errno);
  }
  return Unit{};
}

}  // namespace

void remove_recording(const std::string& path) {
  for (const char* companion : kCompanions) ::unlink((path + companion).c_str());
}

Result<std::unique_ptr<RecordOutputs>> RecordOutputs::plan(OutputRequest request, Env& env) {
  std::unique_ptr<RecordOutputs> outputs(new RecordOutputs(std::move(request), env));
  MEMSPY_CHECK(outputs->choose_formats());
  MEMSPY_CHECK(outputs->open_files());
  MEMSPY_CHECK(outputs->open_recording());
  return outputs;
}

Result<Unit> RecordOutputs::choose_formats() {
  std::string& output = request_.output;
  if (output.empty()) {
    const Format* format = request_.format.empty() ? sinks::find_format("recording")
                                                   : sinks::find_format(request_.format);
    output = "memspy-%n-%p-%t" + std::string(format ? format->suffixes.front() : "");
  }
  MEMSPY_CHECK(sinks::check_output_name(output));
  MEMSPY_TRY(format, format_of(request_.format, output));
  format_ = format;
  if (format_->kind == FormatKind::kRecording && output == "-")
    return usage_error("a recording is a database and cannot go to standard output", "",
                       "-o out.memspy, or another format with -f");
  const bool shows_stacks = format_->kind == FormatKind::kStacks && format_->name != "html";
  if (request_.shape.amount == recording::Amount::kTemporary && !shows_stacks)
    return no_temporaries_in(std::string(format_->name));
  if (request_.timeseries.empty()) return Unit{};
  MEMSPY_TRY(series, format_of("", request_.timeseries == "-" ? ".csv" : request_.timeseries));
  series_format_ = series;
  if (series_format_->kind != FormatKind::kSeries)
    return usage_error("\"" + request_.timeseries + "\" is not a time series",
                       "--timeseries writes .csv or .jsonl");
  if (output == "-" && request_.timeseries == "-")
    return usage_error("the output and the time series cannot both go to standard output");
  if (output == request_.timeseries)
    return usage_error("the output and the time series cannot both go to " + output);
  return Unit{};
}

Result<Unit> RecordOutputs::open_files() {
  if (format_->kind != FormatKind::kRecording) {
    MEMSPY_TRY(file, OutputFile::open(request_.output, request_.force, env_->out));
    main_ = std::move(file);
  }
  if (series_format_ != nullptr) {
    MEMSPY_TRY(file, OutputFile::open(request_.timeseries, request_.force, env_->out));
    series_ = std::move(file);
  }
  return Unit{};
}

// Beside the output, where there is room if there is room for the output.
std::string RecordOutputs::hidden_path() const {
  const std::string& output = request_.output;
  const auto slash = output.rfind('/');
  const std::string name = slash == std::string::npos ? output : output.substr(slash + 1);
  std::string folder = slash == std::string::npos ? "" : output.substr(0, slash + 1);
  if (output == "-" || !regular_or_absent(output)) folder = temporary_folder() + "/";
  return fmt::format("{}.{}.{}.memspy", folder, output == "-" ? "stdout" : name, ::getpid());
}

Result<Unit> RecordOutputs::open_recording() {
  recording_path_ = sinks::expand_output_name(request_.output, request_.facts);
  // A name that needs facts of a process that does not exist yet is given at the end.
  hidden_ = main_.has_value() || sinks::has_expansion(recording_path_);
  if (hidden_) recording_path_ = hidden_path();
  if (!hidden_ && exists(recording_path_) && request_.force)
    MEMSPY_CHECK(displace(recording_path_));
  auto writer = recording::Writer::create(recording_path_);
  if (!writer) return std::move(writer).error();
  writer_ = std::move(*writer);
  created_ = true;
  return Unit{};
}

// What --force replaces goes only when there is something better: a target that cannot be attached
// to must not cost the last recording.
Result<Unit> RecordOutputs::displace(const std::string& path) {
  if (!regular_or_absent(path))
    return make_error(Errc::kOutput, "cannot write the recording " + path + ": not a regular file");
  displaced_ = fmt::format("{}.{}.old", path, ::getpid());
  return rename_recording(path, displaced_);
}

RecordOutputs::~RecordOutputs() {
  if (done_) return;
  writer_.reset();
  if (!worth_keeping_ && created_) remove_recording(recording_path_);
  if (displaced_.empty()) return;
  if (worth_keeping_) {
    remove_recording(displaced_);
  } else {
    (void)rename_recording(displaced_, recording_path_).has_value();
  }
}

void RecordOutputs::set_target(Pid pid, const std::string& name) {
  request_.facts.pid = pid;
  request_.facts.name = name;
}

// What the recording holds when it is finished is what the outputs show, now and whenever they are
// derived from it.
Result<Unit> RecordOutputs::derive(Names names) {
  MEMSPY_TRY(profile, [&]() -> Result<recording::Profile> {
    MEMSPY_TRY(reader, recording::Reader::open(recording_path_));
    return recording::Profile::load(reader, {}, format_->timeline);
  }());
  if (recording::has_native_frames(profile.stacks)) {
    if (names == Names::kFind) {
      find_native_names(profile, modules_.get(), {}, *env_);
      MEMSPY_CHECK(recording::store_names(recording_path_, profile));
      recording::expand_names(profile);
    } else {
      show_addresses(profile);
    }
  }
  if (main_) {
    MEMSPY_CHECK(format_->write(profile, request_.shape, main_->stream()));
    MEMSPY_TRY(path, main_->commit(request_.facts));
    written_ = path;
  }
  if (!series_) return Unit{};
  MEMSPY_CHECK(series_format_->write(profile, request_.shape, series_->stream()));
  auto path = series_->commit(request_.facts);
  if (!path) return std::move(path).error();
  return Unit{};
}

Result<Unit> RecordOutputs::checkpoint() {
  if (to_standard_output()) return Unit{};  // what was printed cannot be taken back
  writer_->fold();
  MEMSPY_CHECK(derive(Names::kNone));
  // The next one replaces what this one wrote.
  request_.force = true;
  return open_files();
}

Result<std::string> RecordOutputs::finish_recording() {
  if (!hidden_) return recording_path_;
  const std::string path = sinks::expand_output_name(request_.output, request_.facts);
  if (exists(path)) {
    if (!request_.force)
      return make_error(Errc::kOutput, path + " exists already; give --force to replace it");
    remove_recording(path);
  }
  MEMSPY_CHECK(rename_recording(recording_path_, path));
  return path;
}

Error RecordOutputs::name_what_is_kept(Error error) const {
  if (!worth_keeping_) return error;
  if (error.why.find(recording_path_) == std::string::npos)
    error.why += (error.why.empty() ? "" : "\n") + ("the recording is kept in " + recording_path_);
  if (error.code == Errc::kOutput)
    error.hint = fmt::format("memspy report {} -o OTHER, once there is room", recording_path_);
  return error;
}

Result<std::string> RecordOutputs::finish() {
  worth_keeping_ = true;
  writer_.reset();
  auto derived = derive(Names::kFind);
  Result<std::string> result = written_;
  if (!derived.has_value() && to_standard_output() && reader_went_away(env_->out)) {
    result = std::string("-");  // it has read what it wanted
  } else if (!derived.has_value()) {
    result = std::move(derived).error();
  } else if (format_->kind == FormatKind::kRecording) {
    result = finish_recording();
  }
  if (!result.has_value()) return name_what_is_kept(std::move(result).error());
  if (main_ && hidden_) remove_recording(recording_path_);
  if (!displaced_.empty()) remove_recording(displaced_);
  done_ = true;
  return result;
}

}  // namespace memspy::cli

// An output that is either whole or not there: written beside its target and renamed at the end.
// Made before a target is attached to, so that an output that cannot be written is known in time.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "memspy/address.h"
#include "memspy/result.h"

namespace memspy::sinks {

// What stands for %p %t %h %n in the name of an output: pid, time (UTC, 20231114T221320Z), host,
// name of the process. What is not known stays as it is written; %% is a percent sign.
struct OutputFacts {
  std::optional<Pid> pid;
  std::optional<std::chrono::nanoseconds> wall_time;
  std::string host;
  std::string name;
};
// Slashes in facts become '_'.
std::string expand_output_name(const std::string& pattern, const OutputFacts& facts);
bool has_expansion(const std::string& pattern);
// kUsage: a % that stands for nothing, or one that stands for something in a folder's name.
Result<Unit> check_output_name(const std::string& pattern);

class OutputFile {
 public:
  // `pattern` "-": `standard_output`. kUsage: as check_output_name().
  // kOutput: no such folder, not writable, or the target exists and not `force`. A target that is a
  // device or a pipe is written in place.
  static Result<OutputFile> open(const std::string& pattern, bool force,
                                 std::ostream& standard_output);
  OutputFile(OutputFile&&) noexcept;
  OutputFile& operator=(OutputFile&&) noexcept;
  // Removes the temporary file unless commit() has been called.
  ~OutputFile();

  std::ostream& stream();
  bool is_standard_output() const;

  // Flushes and renames; the final path ("-" for standard output). kOutput: what was written stays
  // in the partial file, which the error names.
  Result<std::string> commit(const OutputFacts& facts);

 private:
  struct Impl;
  explicit OutputFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace memspy::sinks

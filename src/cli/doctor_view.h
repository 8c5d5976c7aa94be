// What `doctor` found, as text and as JSON (`memspy.doctor/1`, docs/json-live.md).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attach/access.h"
#include "cli/json_text.h"
#include "cpython/interpreter.h"

namespace memspy::cli {

struct DoctorModel {
  Pid pid;
  std::string command;
  std::vector<attach::Finding> findings;
  std::optional<cpython::Version> version;  // absent: no interpreter was found
  std::string layout;
  std::string refusal;  // why not, then
  std::vector<cpython::LocatorAttempt> attempts;

  // The worst of all findings; an interpreter that was not found is a failure.
  attach::FindingLevel level() const;
};

std::string doctor_text(const DoctorModel& model, bool verbose);
Json doctor_json(const DoctorModel& model);

}  // namespace memspy::cli

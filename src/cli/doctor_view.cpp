#include "cli/doctor_view.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "cli/process_facts.h"

namespace memspy::cli {
namespace {

using attach::Finding;
using attach::FindingLevel;

std::string indented(const std::string& text, std::string_view indent) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n') out += indent;
  }
  return out;
}

void append_finding(std::string& text, const Finding& finding) {
  text += fmt::format("{:<5} {:<26} {}\n", attach::finding_level_name(finding.level), finding.check,
                      indented(finding.evidence, "                                 "));
  if (!finding.remedy.empty())
    text += fmt::format("      try:                       {}\n",
                        indented(finding.remedy, "                                 "));
}

Finding interpreter_finding(const DoctorModel& model) {
  Finding finding{"interpreter", FindingLevel::kOk, "", ""};
  if (model.version) {
    finding.evidence =
        fmt::format("CPython {}{}, layout {}", model.version->text(),
                    model.version->free_threaded ? " free-threaded" : "", model.layout);
    return finding;
  }
  finding.level = FindingLevel::kFail;
  finding.evidence = model.refusal;
  return finding;
}

std::string conclusion(const DoctorModel& model) {
  switch (model.level()) {
    case FindingLevel::kOk:
      return fmt::format("memspy can see PID {}.", model.pid.value);
    case FindingLevel::kWarn:
      return fmt::format("memspy can see PID {}, with the limits above.", model.pid.value);
    case FindingLevel::kFail:
      break;
  }
  return fmt::format("memspy cannot see PID {}; change the first point that failed.",
                     model.pid.value);
}

Json finding_json(const Finding& finding) {
  return {{"check", finding.check},
          {"level", attach::finding_level_name(finding.level)},
          {"evidence", finding.evidence},
          {"remedy", finding.remedy.empty() ? Json(nullptr) : Json(finding.remedy)}};
}

}  // namespace

FindingLevel DoctorModel::level() const {
  FindingLevel worst = version ? FindingLevel::kOk : FindingLevel::kFail;
  for (const Finding& finding : findings) worst = std::max(worst, finding.level);
  return worst;
}

std::string doctor_text(const DoctorModel& model, bool verbose) {
  std::string text = fmt::format("PID {}: {}\n", model.pid.value, printable(model.command));
  for (const Finding& finding : model.findings) append_finding(text, finding);
  append_finding(text, interpreter_finding(model));
  if (verbose || !model.version)
    for (const auto& attempt : model.attempts)
      text +=
          fmt::format("      {} {} in {}: {}\n", attempt.won ? "won:  " : "tried:", attempt.method,
                      printable(attempt.file), attempt.evidence);
  return text + conclusion(model) + '\n';
}

Json doctor_json(const DoctorModel& model) {
  Json json = {{"schema", "memspy.doctor/1"},
               {"pid", model.pid.value},
               {"command", model.command},
               {"level", attach::finding_level_name(model.level())},
               {"findings", Json::array()}};
  for (const Finding& finding : model.findings) json["findings"].push_back(finding_json(finding));
  json["findings"].push_back(finding_json(interpreter_finding(model)));
  json["python"] = nullptr;
  if (model.version)
    json["python"] = {{"version", model.version->text()},
                      {"free_threaded", model.version->free_threaded},
                      {"layout", model.layout}};
  json["attempts"] = Json::array();
  for (const auto& attempt : model.attempts)
    json["attempts"].push_back({{"method", attempt.method},
                                {"file", attempt.file},
                                {"won", attempt.won},
                                {"evidence", attempt.evidence}});
  return json;
}

}  // namespace memspy::cli

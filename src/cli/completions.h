// Completion scripts for shells, made from the parser's own options.
#pragma once

#include <string>

#include "cli/option_model.h"

namespace memspy::cli {

std::string bash_completion(const ProgramModel& program);
std::string zsh_completion(const ProgramModel& program);
std::string fish_completion(const ProgramModel& program);

}  // namespace memspy::cli

// Man pages in troff, made from the parser's own options.
#pragma once

#include <string>

#include "cli/option_model.h"

namespace memspy::cli {

std::string program_man_page(const ProgramModel& program);                      // memspy(1)
std::string verb_man_page(const ProgramModel& program, const VerbModel& verb);  // memspy-VERB(1)

}  // namespace memspy::cli

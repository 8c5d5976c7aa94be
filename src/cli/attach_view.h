// The status of a live session: a line for people (with -s one more for each process), or an event
// of memspy.attach/1.
#pragma once

#include <chrono>
#include <string>

#include "cli/json_text.h"
#include "cli/top_model.h"
#include "memspy/address.h"

namespace memspy::cli {

struct AttachStyle {
  bool by_line = true;  // what grows is a line, else a function
  bool native = false;  // with the native function that it ends in
};

std::string attach_status_text(const TopModel& model, const AttachStyle& style,
                               std::chrono::nanoseconds time);
Json attach_status_json(const TopModel& model, const AttachStyle& style, Pid pid);

}  // namespace memspy::cli

// A single look as text and as JSON (`memspy.dump/1`, docs/json-live.md).
#pragma once

#include <map>
#include <string>

#include "cli/json_text.h"
#include "cli/process_facts.h"
#include "sampler/one_look.h"

namespace memspy::cli {

struct DumpModel {
  sampler::ProcessLook look;
  MemoryFacts memory;
  std::map<Tid, char> states;
  std::string executable;
};

struct DumpStyle {
  bool full_filenames = false;
  bool gil_only = false;  // only the thread that holds the GIL
};

std::string dump_text(const DumpModel& model, const DumpStyle& style);
Json dump_json(const DumpModel& model, const DumpStyle& style);

}  // namespace memspy::cli

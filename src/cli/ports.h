// The real doors to targets and to the host, for main().
#pragma once

#include "cli/env.h"

namespace memspy::cli {

void open_real_ports(Env& env);

}  // namespace memspy::cli

// Debug information from servers, by build id: elfutils' own client, `debuginfod-find`, asks them
// and keeps what they give in its cache.
#pragma once

#include <functional>
#include <string>

#include "cli/env.h"

namespace memspy::cli {

// For SymbolizeOptions::fetch. Servers are those of DEBUGINFOD_URLS, which sudo takes away, else
// those that the system names in /etc/debuginfod. kUsage: there are none, or there is no client.
// Each file is asked for once, and told on stderr; `env` outlives it.
Result<std::function<std::string(const std::string& build_id)>> debuginfod_fetcher(Env& env);

// The servers, with blanks between them: of DEBUGINFOD_URLS, else of the files *.urls below a
// folder.
std::string debuginfod_servers(const std::string& system_folder);

}  // namespace memspy::cli

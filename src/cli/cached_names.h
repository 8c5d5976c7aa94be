// A symbolizer that remembers: what debug information has said once is asked of a cache the next
// time, also by another memspy. Only what debug information has said: without it an answer may
// become better.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recording/name_cache.h"
#include "symbolize/symbolizer.h"

namespace memspy::cli {

class CachedNames {
 public:
  // `folder`: "" nothing is remembered. `symbolizer` outlives this.
  CachedNames(symbolize::Symbolizer& symbolizer, const std::string& folder);

  // As the symbolizer's own.
  void prepare(std::span<const CodeAddress> codes);
  std::vector<symbolize::SourceFrame> resolve(const CodeAddress& code);
  // Writes what is new. Nobody is told when that fails: it costs time, and nothing else.
  void keep();

 private:
  const recording::NameTable& known(const std::string& build_id);
  void note(const CodeAddress& code, const std::vector<symbolize::SourceFrame>& frames);
  symbolize::Symbolizer& symbolizer_;
  std::optional<recording::NameCache> cache_;
  std::map<std::string, recording::NameTable> known_, fresh_;  // by build id
};

}  // namespace memspy::cli

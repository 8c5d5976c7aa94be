// Names and lines of native code, by file, build id and address: the offline step that can be
// repeated on any machine. Files are looked for again there, and used only when their build ids are
// the ones asked for. Nothing of it needs the process. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "memspy/frame.h"

namespace memspy::symbolize {

struct SymbolizeOptions {
  std::string sysroot;                  // stands before paths of modules and of debug information
  std::vector<std::string> debug_dirs;  // besides /usr/lib/debug, and before it
};

// One function at an address. A function without debug information has no line, and the file is "".
struct SourceFrame {
  std::string function;  // demangled; "" not known
  std::string file;
  std::int32_t line = 0;
};

// What a file could not tell, and what would.
struct MissingDebugInfo {
  std::string module, build_id;
  bool file_found = false;  // the file itself; else not even its symbols are known
};

class DebugModule;

class Symbolizer {
 public:
  explicit Symbolizer(SymbolizeOptions options);
  ~Symbolizer();

  // A module whose file is at hand under another path ("/proc/self/fd/7"), open as long as this
  // lives. It comes first.
  void offer(const std::string& module, const std::string& build_id, const std::string& path);

  // The functions at an address: those inlined there, innermost first, then the one they are in.
  // Empty: nothing is known.
  std::vector<SourceFrame> resolve(const CodeAddress& code);

  // Of the modules asked for so far that have no lines.
  std::vector<MissingDebugInfo> missing() const;

 private:
  using Key = std::pair<std::string, std::string>;  // path, build id
  DebugModule* module_of(const CodeAddress& code);

  SymbolizeOptions options_;
  std::map<Key, std::string> offered_;
  std::map<Key, std::unique_ptr<DebugModule>> modules_;  // null: no file was found
};

}  // namespace memspy::symbolize

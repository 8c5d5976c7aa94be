// Names and lines of native code, by file, build id and address: the offline step that can be
// repeated on any machine. Files are looked for again there, and used only when their build ids are
// the ones asked for. Nothing of it needs the process. Used by one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "memspy/frame.h"

namespace memspy::symbolize {

struct SymbolizeOptions {
  std::string sysroot;                  // stands before paths of modules and of debug information
  std::vector<std::string> debug_dirs;  // besides /usr/lib/debug, and before it
  // Where a build id's debug information is when it is nowhere here: the path of a file that has
  // been fetched, "" if there is none. One call at a time; it may take minutes.
  std::function<std::string(const std::string& build_id)> fetch;
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

  // Where many addresses are to be asked for: those of one module are looked up by several threads
  // at once, each with the file opened for itself, and kept. The answers are the same.
  void prepare(std::span<const CodeAddress> codes);

  // The functions at an address: those inlined there, innermost first, then the one they are in.
  // Empty: nothing is known.
  std::vector<SourceFrame> resolve(const CodeAddress& code);

  // Whether the module's debug information is at hand: without it an answer may become better.
  bool has_lines(const CodeAddress& code);

  // Of the modules asked for so far that have no lines.
  std::vector<MissingDebugInfo> missing() const;

 private:
  using Key = std::pair<std::string, std::string>;                              // path, build id
  using Answers = std::unordered_map<std::uint64_t, std::vector<SourceFrame>>;  // by address
  DebugModule* module_of(const CodeAddress& code);
  std::unique_ptr<DebugModule> open(const CodeAddress& code) const;
  Answers look_up(const CodeAddress& module, std::span<const std::uint64_t> addresses);

  SymbolizeOptions options_;
  std::map<Key, std::string> offered_;
  std::map<Key, std::unique_ptr<DebugModule>> modules_;  // null: no file was found
  std::map<Key, Answers> prepared_;
};

}  // namespace memspy::symbolize

// Where may CPython's runtime be? An ordered list of locators, each of which looks at one file and
// names addresses. None of them is believed: probe.h checks what they name.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "cpython/anchors.h"
#include "cpython/version.h"
#include "memspy/memory_reader.h"
#include "memspy/symbol_source.h"

namespace memspy::cpython {

struct LocatorInput {
  const MemoryReader& memory;
  const ModuleImage& module;
  std::vector<int> minors;  // versions in question; scans try each
};

struct Located {
  Anchors anchors;
  std::optional<int> minor;  // set by locators that work for one version only
};

struct Locator {
  std::string_view method;
  bool scan =
      false;  // costs reads of the whole data segment: only when nothing else found anything
  // The addresses in question, best first; an error says why there is none.
  Result<std::vector<Located>> (*find)(const LocatorInput& input);
};

// In the order in which they are tried.
std::span<const Locator> locators();

// Files that may hold CPython, by rank: libpython by name, then the executable, then any other
// file.
struct PythonModule {
  const ModuleImage* image = nullptr;
  enum class Rank { kLibpython, kExecutable, kOther } rank = Rank::kOther;
  std::optional<Version> named;  // by its file name
};
std::vector<PythonModule> plausible_modules(const SymbolSource& symbols);

// The target's own word on its version: the debug offsets at `runtime` (3.13+), then Py_Version
// (3.11+). nullopt: it does not say.
std::optional<Version> published_version(const MemoryReader& memory, const ModuleImage& module,
                                         RemoteAddr runtime);

}  // namespace memspy::cpython

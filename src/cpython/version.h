// Which CPython: from PY_VERSION_HEX, or from the name of a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace memspy::cpython {

struct Version {
  int major = 3;
  int minor = 0;
  int patch = 0;
  std::uint32_t hex = 0;  // PY_VERSION_HEX; 0 when only the minor is known
  bool free_threaded = false;
  bool debug_build = false;  // Py_DEBUG
  std::string text() const;  // "3.11.7", "3.6" when the patch is not known, "3.14.0rc2"
};

// nullopt: not a PY_VERSION_HEX of any CPython (major 2 or 3, a release level that exists).
std::optional<Version> version_from_hex(std::uint64_t hex);

// "libpython3.6m.so.1.0", "/usr/bin/python3.14t": the minor and the flags behind it; nullopt for
// names without a minor ("python3", "libpython3.so") and for files that are not the interpreter.
std::optional<Version> version_from_file_name(std::string_view path);

// Is this file named as CPython's library? ("libpython3.so" is a stub and is not.)
bool is_libpython(std::string_view path);

}  // namespace memspy::cpython

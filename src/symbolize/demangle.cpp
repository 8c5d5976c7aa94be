#include "symbolize/demangle.h"

// Else its headers declare a basename() that contradicts libc's.
#define HAVE_DECL_BASENAME 1
#include <libiberty/demangle.h>

#include <cstdlib>
#include <memory>

namespace memspy::symbolize {
namespace {

// Hostile names expand exponentially; the longest of real programs have some hundred characters,
// those of template libraries some thousand.
constexpr std::size_t kMaxMangled = 4096, kMaxDemangled = 16384;

struct Free {
  void operator()(char* text) const { std::free(text); }  // NOLINT: libiberty's malloc
};

}  // namespace

std::string demangle(std::string_view name) {
  std::string plain(name.substr(0, name.find('@')));  // foo@@GLIBC_2.34
  const bool mangled = plain.starts_with("_Z") || plain.starts_with("_R");
  if (!mangled || plain.size() > kMaxMangled) return plain;
  const std::unique_ptr<char, Free> text(
      ::cplus_demangle(plain.c_str(), DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO));
  if (!text) return plain;
  std::string demangled(text.get());
  return demangled.size() > kMaxDemangled ? plain : demangled;
}

}  // namespace memspy::symbolize

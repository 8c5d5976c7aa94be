#include "malloc/allocator_names.h"

#include <charconv>
#include <string_view>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "base/path.h"

namespace memspy::malloc {
namespace {

constexpr std::uint64_t kMaxText = 8ULL << 20;  // of one read-only mapping; libc's is 350 KiB

struct Known {
  std::string_view name;
  std::string_view file;    // how the library's name begins
  std::string_view symbol;  // that a program which contains it defines
};

// A library that stands in for malloc by LD_PRELOAD or by being linked, or a program with one of
// them inside. CPython's own copy of mimalloc exports none of these symbols.
constexpr Known kKnown[] = {
    {"jemalloc", "libjemalloc", "mallctl"},
    {"tcmalloc", "libtcmalloc", "tc_malloc"},
    {"mimalloc", "libmimalloc", "mi_malloc"},
    {"snmalloc", "libsnmalloc", "sn_malloc"},
    {"rpmalloc", "librpmalloc", "rpmalloc"},
    {"scudo", "libscudo", "__scudo_default_options"},
    {"hoard", "libhoard", ""},
    {"musl", "ld-musl-", ""},
    {"musl", "libc.musl-", ""},
};

}  // namespace

AllocatorName name_allocator(const SymbolSource& symbols) {
  for (const ModuleImage* module : symbols.modules()) {
    const std::string_view file = base_name(module->path());
    for (const Known& known : kKnown) {
      if (file.starts_with(known.file)) {
        return {std::string(known.name), fmt::format("{} is mapped", file)};
      }
    }
  }
  if (symbols.modules().empty()) return {};
  const ModuleImage& program = *symbols.modules().front();
  for (const Known& known : kKnown) {
    if (!known.symbol.empty() && program.find_symbol(known.symbol)) {
      return {std::string(known.name),
              fmt::format("{} defines {}", base_name(program.path()), known.symbol)};
    }
  }
  return {};
}

std::optional<std::pair<int, int>> glibc_version(const MemoryReader& memory, const MemoryMap& map,
                                                 const std::string& file) {
  constexpr std::string_view kBanner = "GNU C Library";
  constexpr std::string_view kWord = "release version ";
  for (const Mapping& mapping : map) {
    if (mapping.path != file || mapping.writable || !mapping.readable ||
        mapping.size() > kMaxText) {
      continue;
    }
    std::string text(mapping.size(), '\0');
    text.resize(memory.read_some(mapping.start, std::as_writable_bytes(std::span(text))));
    for (auto at = text.find(kBanner); at != std::string::npos; at = text.find(kBanner, at + 1)) {
      const auto line = std::string_view(text).substr(at, 160);
      const auto word = line.find(kWord);
      if (word == std::string_view::npos) continue;
      const auto number = line.substr(word + kWord.size());
      int major = 0;
      int minor = 0;
      const auto dot = std::from_chars(number.data(), number.data() + number.size(), major);
      if (dot.ec != std::errc{} || dot.ptr == number.data() + number.size() || *dot.ptr != '.') {
        continue;
      }
      const auto end = std::from_chars(dot.ptr + 1, number.data() + number.size(), minor);
      if (end.ec == std::errc{}) return std::pair(major, minor);
    }
  }
  return std::nullopt;
}

}  // namespace memspy::malloc

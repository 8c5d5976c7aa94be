#include "cpython/locate.h"

#include <algorithm>
#include <array>

#include <spdlog/fmt/fmt.h>

#include "cpython/debug_offsets.h"
#include "cpython/layouts.h"
#include "cpython/remote_fields.h"
#include "cpython/runtime_walk.h"

namespace memspy::cpython {
namespace {

// Data segments of the largest embedding programs have some tens of MiB.
constexpr std::uint64_t kMaxScannedBytes = 64ULL << 20;
constexpr std::size_t kScanPiece = 1U << 20;
constexpr std::size_t kMaxScanHits = 16;  // of one version
// Words that look like a list of interpreters at first; each costs a walk.
constexpr std::size_t kMaxScanWalks = 4096;

using Locations = Result<std::vector<Located>>;

RemoteAddr symbol(const ModuleImage& module, std::string_view name) {
  return module.find_symbol(name).value_or(RemoteAddr{});
}

Error nothing(const ModuleImage& module, std::string what) {
  if (const std::string note = module.note(); !note.empty()) what += " (" + note + ")";
  return make_error(Errc::kUnsupported, std::move(what));
}

Anchors anchors_at(const ModuleImage& module, RemoteAddr runtime) {
  Anchors anchors;
  anchors.runtime = runtime;
  anchors.code_type = symbol(module, "PyCode_Type");
  anchors.arenas = symbol(module, "arenas");
  anchors.max_arenas = symbol(module, "maxarenas");
  return anchors;
}

Locations by_symbol(const LocatorInput& input) {
  const RemoteAddr runtime = symbol(input.module, "_PyRuntime");
  if (!runtime) return nothing(input.module, "no such symbol");
  return std::vector<Located>{{anchors_at(input.module, runtime), std::nullopt}};
}

Locations by_section(const LocatorInput& input) {
  const auto section = input.module.find_section(".PyRuntime");
  if (!section) return nothing(input.module, "no such section");
  return std::vector<Located>{{anchors_at(input.module, section->start), std::nullopt}};
}

// Calls `visit(address, bytes)` for the writable segments, piece by piece; a piece shares its last
// words with the next one, so that what straddles the cut is seen. `visit` returns false to stop.
template <typename Visit>
void scan_writable(const LocatorInput& input, Visit visit) {
  constexpr std::size_t kOverlap = 16;
  std::uint64_t budget = kMaxScannedBytes;
  std::vector<std::byte> piece(kScanPiece + kOverlap);
  for (const AddressRange& segment : input.module.writable_segments()) {
    const RemoteAddr start{(segment.start.value + 7) & ~7ULL};
    const std::uint64_t skipped = start.value - segment.start.value;
    const std::uint64_t size = segment.size > skipped ? segment.size - skipped : 0;
    for (std::uint64_t at = 0; at < size && budget > 0; at += kScanPiece) {
      const std::size_t want =
          static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), size - at));
      const std::size_t got = input.memory.read_some(start + at, std::span(piece).first(want));
      budget -= std::min<std::uint64_t>(budget, got);
      if (!visit(start + at, std::span<const std::byte>(piece).first(got))) return;
      if (got < want) break;
    }
  }
}

Locations by_cookie(const LocatorInput& input) {
  std::vector<Located> found;
  scan_writable(input, [&](RemoteAddr address, std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
      if (std::memcmp(bytes.data() + i, kDebugOffsetsCookie.data(), kDebugOffsetsCookie.size()) !=
          0)
        continue;
      found.push_back({anchors_at(input.module, address + i), std::nullopt});
      if (found.size() >= kMaxScanHits) return false;
    }
    return true;
  });
  if (found.empty()) return nothing(input.module, "not in the data segments");
  return found;
}

// The variable that the first instruction of `function` within `window` bytes loads, where it is
// `mov reg, [rip + disp32]` (48 8b 05 or 8b 05).
RemoteAddr loaded_variable(const LocatorInput& input, std::string_view function,
                           std::size_t window) {
  const RemoteAddr start = symbol(input.module, function);
  if (!start) return {};
  std::array<std::byte, 32> code{};
  const std::size_t got = input.memory.read_some(start, code);
  for (std::size_t i = 0; i + 6 <= got && i <= window; ++i) {
    if (code[i] != std::byte{0x8b} || code[i + 1] != std::byte{0x05}) continue;
    std::int32_t displacement = 0;
    std::memcpy(&displacement, code.data() + i + 2, sizeof displacement);
    return start + (i + 6) + static_cast<std::uint64_t>(static_cast<std::int64_t>(displacement));
  }
  return {};
}

Anchors statics_3_06(const LocatorInput& input, RemoteAddr head) {
  constexpr std::size_t kCollectWindow = 16;
  Anchors anchors = anchors_at(input.module, {});
  anchors.interpreters_head = head;
  anchors.tstate_current = symbol(input.module, "_PyThreadState_Current");
  anchors.gc_generations = symbol(input.module, "generations");
  if (const RemoteAddr pointer = symbol(input.module, "_PyGC_generation0")) {
    const auto generation0 = read<std::uint64_t>(input.memory, pointer);
    if (generation0 && is_plausible({*generation0})) anchors.gc_generations = {*generation0};
  }
  anchors.gc_statistics = symbol(input.module, "generation_stats");
  anchors.gc_enabled = symbol(input.module, "enabled");
  anchors.gc_collecting = symbol(input.module, "collecting");
  if (!anchors.gc_collecting)
    anchors.gc_collecting = loaded_variable(input, "PyGC_Collect", kCollectWindow);
  return anchors;
}

Locations by_statics(const LocatorInput& input) {
  const RemoteAddr head = symbol(input.module, "interp_head");
  if (!head) return nothing(input.module, "no such symbol");
  return std::vector<Located>{{statics_3_06(input, head), 6}};
}

// The function only returns the variable; an endbr64 of 4 bytes may come first.
Locations by_head_function(const LocatorInput& input) {
  constexpr std::size_t kHeadWindow = 5;
  const RemoteAddr head = loaded_variable(input, "PyInterpreterState_Head", kHeadWindow);
  if (!head) return nothing(input.module, "no such function, or not of the known form");
  if (symbol(input.module, "_PyRuntime")) return nothing(input.module, "3.7 or later");
  return std::vector<Located>{{statics_3_06(input, head), 6}};
}

// Has `head` a newest thread that points back to it?
bool has_own_thread(const MemoryReader& memory, const Layout& layout, RemoteAddr head) {
  const auto thread = read_pointer(memory, layout, head, Field::kInterpreterThreadsHead);
  if (!thread || !*thread) return false;
  const auto back = read_pointer(memory, layout, *thread, Field::kThreadInterpreter);
  if (!back || *back != head) return false;
  const auto previous = read_field(memory, layout, *thread, Field::kThreadPrev);
  return previous && *previous == 0;
}

// Is the variable the head of a list of interpreters that ends in `main` (which 3.6 does not keep)?
bool ends_in_main(const MemoryReader& memory, const Layout& layout, RemoteAddr head_variable,
                  RemoteAddr main) {
  Anchors anchors;
  anchors.interpreters_head = head_variable;
  const auto interpreters = list_interpreters(memory, layout, anchors);
  return interpreters && (!main || interpreters->back().address == main);
}

// 3.7+: `interpreters.head` and `.main` stand side by side in _PyRuntime. 3.6: one static variable.
bool collect_hits(const LocatorInput& input, const Layout& layout, RemoteAddr address,
                  std::span<const std::byte> bytes, std::size_t& walks,
                  std::vector<Located>& found) {
  const auto head_offset = layout.find(Field::kRuntimeInterpretersHead);
  for (std::size_t i = 0; i + 16 <= bytes.size(); i += 8) {
    const RemoteAddr head{load(bytes, i, 8).value_or(0)};
    RemoteAddr main{load(bytes, i + 8, 8).value_or(0)};
    if (!is_plausible(head) || (head_offset && !is_plausible(main))) continue;
    if (!head_offset) main = {};
    const RemoteAddr at = address + i;
    if (!has_own_thread(input.memory, layout, head)) continue;
    if (++walks > kMaxScanWalks) return false;
    if (!ends_in_main(input.memory, layout, at, main)) continue;
    if (head_offset) {
      found.push_back({anchors_at(input.module, at - head_offset->offset), layout.minor});
    } else {
      found.push_back({statics_3_06(input, at), layout.minor});
    }
    if (found.size() >= kMaxScanHits) return false;
  }
  return true;
}

Locations by_scan(const LocatorInput& input) {
  std::vector<Located> found;
  for (const int minor : input.minors) {
    const auto layout = layout_for(minor);
    if (!layout) continue;
    std::vector<Located> hits;
    std::size_t walks = 0;
    scan_writable(input, [&](RemoteAddr address, std::span<const std::byte> bytes) {
      return collect_hits(input, *layout, address, bytes, walks, hits);
    });
    found.insert(found.end(), hits.begin(), hits.end());
  }
  if (found.empty()) return nothing(input.module, "nothing that looks like an interpreter");
  return found;
}

constexpr Locator kLocators[] = {
    {"symbol _PyRuntime", false, by_symbol},
    {"section .PyRuntime", false, by_section},
    {"symbol interp_head (3.6)", false, by_statics},
    {"code of PyInterpreterState_Head (3.6)", false, by_head_function},
    {"debug offsets cookie", true, by_cookie},
    {"scan of .data and .bss", true, by_scan},
};

}  // namespace

std::span<const Locator> locators() { return kLocators; }

std::vector<PythonModule> plausible_modules(const SymbolSource& symbols) {
  std::vector<PythonModule> modules;
  bool first = true;
  for (const ModuleImage* image : symbols.modules()) {
    PythonModule module{image, PythonModule::Rank::kOther, version_from_file_name(image->path())};
    if (is_libpython(image->path())) {
      module.rank = PythonModule::Rank::kLibpython;
    } else if (first) {
      module.rank = PythonModule::Rank::kExecutable;
    }
    first = false;
    modules.push_back(module);
  }
  std::stable_sort(modules.begin(), modules.end(),
                   [](const PythonModule& a, const PythonModule& b) { return a.rank < b.rank; });
  return modules;
}

std::optional<Version> published_version(const MemoryReader& memory, const ModuleImage& module,
                                         RemoteAddr runtime) {
  if (runtime) {
    if (auto head = read_debug_offsets_head(memory, runtime)) return head->version;
  }
  if (const auto address = module.find_symbol("Py_Version")) {
    if (const auto hex = read<std::uint64_t>(memory, *address)) return version_from_hex(*hex);
  }
  return std::nullopt;
}

}  // namespace memspy::cpython

#include "cpython/search.h"

#include <algorithm>

#include <spdlog/fmt/fmt.h>

#include "base/log.h"
#include "cpython/debug_offsets.h"
#include "cpython/gc_state.h"
#include "cpython/layouts.h"

namespace memspy::cpython {
namespace {

constexpr int kMinMinor = 6;
constexpr int kMaxMinor = 63;  // of the loop over the known ones only

std::vector<int> known_minors() {
  std::vector<int> minors;
  for (int minor = kMaxMinor; minor >= kMinMinor; --minor) {
    if (is_known_minor(minor)) minors.push_back(minor);
  }
  return minors;
}

bool has_cpython_symbol(const ModuleImage& image) {
  return image.find_symbol("_PyRuntime") || image.find_symbol("PyInterpreterState_Head") ||
         image.find_section(".PyRuntime");
}

}  // namespace

Result<Interpreter> Search::run() {
  const std::vector<PythonModule> modules = plausible_modules(symbols_);
  for (const PythonModule& module : modules) {
    // Any other file only when it exports the runtime: a plugin that was linked with CPython.
    if (module.rank == PythonModule::Rank::kOther && !has_cpython_symbol(*module.image)) continue;
    if (try_module(module)) break;
  }
  if (found_) return std::move(*found_);
  Error error = failure();
  for (const LocatorAttempt& attempt : attempts_) {
    error.why += fmt::format("{}{}: {}: {}", error.why.empty() ? "" : "\n", attempt.file,
                             attempt.method, attempt.evidence);
  }
  return error;
}

Error Search::failure() const {
  if (refused_) return *refused_;
  if (not_ready_) return *not_ready_;
  if (rejected_) return *rejected_;
  const std::vector<PythonModule> modules = plausible_modules(symbols_);
  for (const PythonModule& module : modules) {
    if (module.rank == PythonModule::Rank::kLibpython) break;
    if (module.rank == PythonModule::Rank::kExecutable && module.named &&
        !has_cpython_symbol(*module.image)) {
      return make_error(Errc::kUnreadable, fmt::format("{} has not loaded its Python library yet",
                                                       module.image->path()));
    }
  }
  return make_error(Errc::kUnsupported, "no CPython interpreter found in this process");
}

void Search::note(const PythonModule& module, const Locator& locator, std::string evidence,
                  bool won) {
  SPDLOG_DEBUG("{}: {}: {}{}", module.image->path(), locator.method, won ? "chosen: " : "",
               evidence);
  LocatorAttempt attempt{std::string(locator.method), module.image->path(), won,
                         std::move(evidence)};
  // Where versions have to be guessed, or a scan names many addresses, the last word is told.
  const bool replaces = !attempts_.empty() && attempts_.back().method == attempt.method &&
                        attempts_.back().file == attempt.file;
  if (replaces) {
    attempts_.back() = std::move(attempt);
  } else {
    attempts_.push_back(std::move(attempt));
  }
}

bool Search::try_module(const PythonModule& module) {
  saw_runtime_ = false;
  return std::any_of(locators().begin(), locators().end(), [&](const Locator& locator) {
    if (locator.scan && (saw_runtime_ || module.rank == PythonModule::Rank::kOther)) return false;
    return try_locator(module, locator);
  });
}

bool Search::try_locator(const PythonModule& module, const Locator& locator) {
  Located nothing_known;
  LocatorInput input{memory_, *module.image, minors_for(module.named, nothing_known)};
  auto located = locator.find(input);
  if (!located) {
    note(module, locator, located.error().message);
    return false;
  }
  for (const Located& candidate : *located) {
    const RemoteAddr address =
        candidate.anchors.runtime ? candidate.anchors.runtime : candidate.anchors.interpreters_head;
    const std::pair key(address, candidate.minor);
    if (std::find(tried_.begin(), tried_.end(), key) != tried_.end()) {
      note(module, locator, fmt::format("{:#x}, as before", address.value));
      continue;
    }
    tried_.push_back(key);
    if (!locator.scan) saw_runtime_ = true;
    if (try_location(module, locator, candidate)) return true;
  }
  return false;
}

std::vector<int> Search::minors_for(const std::optional<Version>& version,
                                    const Located& located) const {
  if (options_.assume_minor) return {*options_.assume_minor};
  if (located.minor) return {*located.minor};
  if (version && version->major == 3) return {version->minor};
  return known_minors();
}

bool Search::refuse(const PythonModule& module, const Locator& locator, const Version& version) {
  const bool unknown =
      !options_.assume_minor && (version.major != 3 || !is_known_minor(version.minor));
  if (!version.free_threaded && !unknown) return false;
  refused_ = refusal(version, module);
  note(module, locator, refused_->message);
  return true;
}

Error Search::refusal(const Version& version, const PythonModule& module) const {
  if (version.free_threaded) {
    return make_error(Errc::kUnsupported,
                      fmt::format("free-threaded build of {} (python{}.{}t) is not supported yet",
                                  version.text(), version.major, version.minor));
  }
  Error error = make_error(
      Errc::kUnsupported,
      fmt::format("CPython {} in {} is not known to memspy", version.text(), module.image->path()));
  error.why = "known versions: " + known_versions();
  if (version.major == 3) {
    const auto known = known_minors();
    const auto [oldest, newest] = std::minmax_element(known.begin(), known.end());
    error.hint = fmt::format(
        "--assume-layout 3.{} reads it as that version, the nearest known, would be read",
        std::clamp(version.minor, *oldest, *newest));
  }
  return error;
}

bool Search::try_location(const PythonModule& module, const Locator& locator,
                          const Located& located) {
  const auto published = published_version(memory_, *module.image, located.anchors.runtime);
  const std::optional<Version> version = published ? published : module.named;
  if (version && refuse(module, locator, *version)) return true;
  const std::vector<int> minors = minors_for(version, located);
  const bool has_cookie = located.anchors.runtime &&
                          read_debug_offsets_head(memory_, located.anchors.runtime).has_value();
  return std::any_of(minors.begin(), minors.end(), [&](int minor) {
    const bool publishes = debug_offsets_table(minor).size != 0;
    if (!version && minors.size() > 1 && publishes && !has_cookie) return false;
    return accept(module, locator, located, minor, version);
  });
}

bool Search::accept(const PythonModule& module, const Locator& locator, const Located& located,
                    int minor, const std::optional<Version>& published) {
  Anchors anchors = located.anchors;
  Layout layout;
  auto result = probe_variants(minor, anchors, layout);
  if (result && !result->not_ready.empty()) {
    // In a wrong layout it looks like this, too.
    if (!locator.scan && (published || located.minor))
      not_ready_ = make_error(Errc::kUnreadable, result->not_ready);
    note(module, locator, result->not_ready);
    return false;
  }
  if (!result) {
    if (result.error().code == Errc::kUnsupported) refused_ = result.error();
    if (!locator.scan && !rejected_) {
      const std::string name = published ? published->text() : fmt::format("3.{}", minor);
      rejected_ =
          make_error(Errc::kUnsupported,
                     fmt::format("CPython {} in {} does not have the structures memspy knows: {}",
                                 name, module.image->path(), result.error().message));
    }
    note(module, locator, fmt::format("3.{}: {}", minor, result.error().message));
    return false;
  }
  Version version = published.value_or(Version{});
  if (!published) version.minor = minor;
  if (version.hex == 0) {
    const auto own = version_from_hex(result->version_hex);
    if (own && !options_.assume_minor && own->minor != minor) {
      note(module, locator, fmt::format("3.{}: sys.hexversion says {}", minor, own->text()));
      return false;
    }
    if (own) version.patch = own->patch, version.hex = own->hex, version.minor = own->minor;
    if (!own &&
        !published) {  // nothing but the structures speaks for this minor: 3.9 would pass as 3.10
      note(module, locator, fmt::format("3.{}: no sys.hexversion to confirm it", minor));
      return false;
    }
  }
  version.debug_build =
      version.debug_build || module.image->find_symbol("_Py_NegativeRefcount").has_value();
  Interpreter interpreter;
  interpreter.version_ = version;
  interpreter.layout_ = std::make_shared<const Layout>(std::move(layout));
  interpreter.anchors_ = anchors;
  note(module, locator, result->evidence(), true);
  found_ = std::move(interpreter);
  return true;
}

Result<ProbeResult> Search::probe_variant(Layout& layout, Anchors& anchors) const {
  if (anchors.runtime && read_debug_offsets_head(memory_, anchors.runtime)) {
    MEMSPY_CHECK(apply_debug_offsets(memory_, anchors.runtime, layout));
  } else {
    MEMSPY_CHECK(validate(layout));
  }
  if (anchors.runtime) {
    const auto head = layout.find(Field::kRuntimeInterpretersHead);
    if (!head) return make_error(Errc::kCorrupt, "this version has no _PyRuntime");
    anchors.interpreters_head = anchors.runtime + head->offset;
  }
  return probe(memory_, layout, anchors);
}

Result<ProbeResult> Search::probe_variants(int minor, Anchors& anchors, Layout& chosen) const {
  MEMSPY_TRY(variants, layout_variants(minor));
  std::optional<ProbeResult> best;
  std::optional<Error> first_error;
  const Anchors located = anchors;
  for (Layout& layout : variants) {
    Anchors own = located;
    auto result = probe_variant(layout, own);
    if (!result) {
      if (!first_error) first_error = result.error();
      continue;
    }
    if (!result->not_ready.empty()) {
      if (!best) best = *result;
      continue;
    }
    own.code_type = result->code_type;
    const auto interpreters = list_interpreters(memory_, layout, own);
    const RemoteAddr main = interpreters ? interpreters->back().address : RemoteAddr{};
    const GcCheck gc = confirm_generations(memory_, own, main, layout);
    if (best && best->not_ready.empty() && gc != GcCheck::kConfirmed) continue;
    if (gc == GcCheck::kRefuted) {  // read nothing rather than something wrong
      layout.slots[static_cast<std::size_t>(Field::kGcGenerations)].width = 0;
      own.gc_generations = {};
    }
    best = *result;
    chosen = layout;
    anchors = own;
    if (gc != GcCheck::kRefuted) break;
  }
  if (best) return *best;
  return first_error.value_or(make_error(Errc::kInternal, "no layout to try"));
}

}  // namespace memspy::cpython

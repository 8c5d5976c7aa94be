#include "cli/native_names.h"

#include <set>

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include "cli/cached_names.h"
#include "cli/debug_packages.h"
#include "cli/process_facts.h"

namespace memspy::cli {
namespace {

using SourceFrames = std::vector<symbolize::SourceFrame>;

Frame address_frame(const Frame& frame) {
  Frame plain = frame;
  plain.function = fmt::format("{:#x}", frame.code.address);
  plain.file = frame.code.module;
  return plain;
}

std::vector<Frame> named_frames(const Frame& frame, const SourceFrames& sources) {
  std::vector<Frame> named;
  for (const symbolize::SourceFrame& source : sources) {
    Frame one = frame;
    one.function =
        source.function.empty() ? fmt::format("{:#x}", frame.code.address) : source.function;
    // The library's name stands where the source's is not known.
    one.file = source.file.empty() ? frame.code.module : source.file;
    one.line = source.file.empty() ? 0 : source.line;
    named.push_back(std::move(one));
  }
  return named;
}

void name_by_address(recording::Profile& profile, recording::NamesWanted wanted) {
  recording::find_names(
      profile, wanted, [](const Frame& frame) { return std::vector<Frame>{address_frame(frame)}; });
}

}  // namespace

std::vector<Frame> name_frame(const Frame& frame, symbolize::Symbolizer& symbolizer) {
  if (frame.kind != FrameKind::kNative || frame.code.module.empty()) return {frame};
  auto named = named_frames(frame, symbolizer.resolve(frame.code));
  return named.empty() ? std::vector<Frame>{address_frame(frame)} : named;
}

void find_native_names(recording::Profile& profile, const unwind::ModuleStore* modules,
                       const symbolize::SymbolizeOptions& options, Env& env) {
  symbolize::Symbolizer symbolizer(options);
  if (modules != nullptr) offer_modules(*modules, symbolizer);
  CachedNames names(symbolizer, env.cache_folder);
  names.prepare(recording::native_addresses(profile.stacks));
  recording::find_names(profile, recording::NamesWanted::kAll, [&](const Frame& frame) {
    return named_frames(frame, names.resolve(frame.code));
  });
  names.keep();
  name_by_address(profile, recording::NamesWanted::kMissing);
  tell_missing(symbolizer, options.sysroot, env, Addresses::kRecorded);
}

symbolize::SymbolizeOptions files_of(const procfs::ProcDir& proc, Pid pid) {
  symbolize::SymbolizeOptions options;
  options.sysroot = proc.path(pid, "root");
  return options;
}

void show_names(recording::Profile& profile, const symbolize::SymbolizeOptions& options, bool anew,
                Env& env) {
  if (!recording::has_native_frames(profile.stacks)) return;
  if (anew || profile.names.empty()) find_native_names(profile, nullptr, options, env);
  recording::expand_names(profile);
}

void show_addresses(recording::Profile& profile) {
  name_by_address(profile, recording::NamesWanted::kAll);
  recording::expand_names(profile);
}

void offer_modules(const unwind::ModuleStore& modules, symbolize::Symbolizer& symbolizer) {
  for (const auto& module : modules.modules()) {
    if (module->fd >= 0)
      symbolizer.offer(module->path, module->build_id, fmt::format("/proc/self/fd/{}", module->fd));
  }
}

namespace {

constexpr std::size_t kShownMissing = 4;

std::vector<symbolize::MissingDebugInfo> missing_files(const symbolize::Symbolizer& symbolizer) {
  auto missing = symbolizer.missing();
  std::erase_if(missing, [](const auto& one) { return one.module.starts_with('['); });
  return missing;
}

// What would bring what is missing: the packages, as far as they are known.
std::string remedy(const std::vector<std::string>& files, const std::string& root,
                   Addresses addresses) {
  std::string text;
  if (const auto found = find_debug_packages(root, files)) {
    std::set<std::string> packages;
    for (const auto& [file, package] : *found) packages.insert(package);
    if (!packages.empty()) text = fmt::format(": install {}", fmt::join(packages, ", "));
    if (found->size() < files.size())
      text += text.empty() ? ": build it with -g" : ", build the others with -g";
  } else {
    text = ": install their packages of debug information";
  }
  if (addresses == Addresses::kRecorded)
    text += ", or say --debuginfod or --debug-dir to memspy report";
  return text;
}

}  // namespace

void tell_missing(const symbolize::Symbolizer& symbolizer, const std::string& root, Env& env,
                  Addresses addresses) {
  const auto missing = missing_files(symbolizer);
  if (missing.empty()) return;
  std::string text;
  std::vector<std::string> files;
  for (const symbolize::MissingDebugInfo& one : missing) {
    if (files.size() == kShownMissing) break;
    files.push_back(one.module);
    const std::string id = one.build_id.empty() ? "no build id" : "build id " + one.build_id;
    text += fmt::format("{}{} ({}{})", text.empty() ? "" : ", ", printable(one.module), id,
                        one.file_found ? "" : ", file not found");
  }
  if (missing.size() > files.size())
    text += fmt::format(" and {} more", missing.size() - files.size());
  say(env,
      "no debug information, and so no native lines, for " + text + remedy(files, root, addresses));
}

}  // namespace memspy::cli

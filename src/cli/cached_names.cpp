#include "cli/cached_names.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"

namespace memspy::cli {
namespace {

constexpr std::uint64_t kMostBytes = 256U << 20;

std::optional<recording::NameCache> open_cache(const std::string& folder) {
  if (folder.empty()) return std::nullopt;
  ::mkdir(folder.substr(0, folder.rfind('/')).c_str(), 0700);  // ~/.cache
  ::mkdir(folder.c_str(), 0700);
  struct stat info {};
  const bool ours = ::lstat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
                    info.st_uid == ::geteuid() && (info.st_mode & 022) == 0;
  if (!ours) return std::nullopt;  // others could put their names there
  // The number goes up with its format, and with what is read of debug information.
  const std::string path = folder + "/names-1.sqlite";
  auto cache = recording::NameCache::open(path);
  if (!cache.has_value() && cache.error().code == Errc::kCorrupt) {
    ::unlink(path.c_str());
    cache = recording::NameCache::open(path);
  }
  if (cache.has_value()) return std::move(*cache);
  SPDLOG_DEBUG("no cache of names: {}", describe(cache.error()));
  return std::nullopt;
}

}  // namespace

CachedNames::CachedNames(symbolize::Symbolizer& symbolizer, const std::string& folder)
    : symbolizer_(symbolizer), cache_(open_cache(folder)) {}

const recording::NameTable& CachedNames::known(const std::string& build_id) {
  const auto [at, unasked] = known_.try_emplace(build_id);
  if (unasked && cache_ && !build_id.empty()) at->second = cache_->load(build_id);
  return at->second;
}

void CachedNames::prepare(std::span<const CodeAddress> codes) {
  std::vector<CodeAddress> rest;
  std::copy_if(codes.begin(), codes.end(), std::back_inserter(rest), [&](const CodeAddress& code) {
    return !known(code.build_id).contains(code.address);
  });
  symbolizer_.prepare(rest);
}

std::vector<symbolize::SourceFrame> CachedNames::resolve(const CodeAddress& code) {
  if (const auto names = known(code.build_id).find(code.address)) {
    std::vector<symbolize::SourceFrame> frames;
    for (const recording::CodeName& name : *names)
      frames.push_back({std::string(name.function), std::string(name.file), name.line});
    return frames;
  }
  auto frames = symbolizer_.resolve(code);
  if (cache_ && !code.build_id.empty() && symbolizer_.has_lines(code)) note(code, frames);
  return frames;
}

// What lacks a part may be whole the next time, as when a file that several share was not there.
void CachedNames::note(const CodeAddress& code, const std::vector<symbolize::SourceFrame>& frames) {
  std::vector<recording::CodeName> names;
  for (const auto& frame : frames) {
    if (frame.function.empty() || frame.file.empty()) return;
    names.push_back({frame.function, frame.file, frame.line});
  }
  if (!names.empty()) fresh_[code.build_id].add(code.address, names);
}

void CachedNames::keep() {
  if (!cache_ || fresh_.empty()) return;
  for (const auto& [build_id, names] : fresh_)
    if (!cache_->add(build_id, names)) SPDLOG_DEBUG("names of {} are not kept", build_id);
  fresh_.clear();
  cache_->shrink(kMostBytes);
}

}  // namespace memspy::cli

#include "symbolize/symbolizer.h"

#include <algorithm>
#include <future>
#include <thread>

#include "symbolize/debug_files.h"
#include "symbolize/debug_module.h"

namespace memspy::symbolize {
namespace {

constexpr std::size_t kWorthThreads = 4096;  // addresses of one module
constexpr std::size_t kMostThreads = 4;

}  // namespace

Symbolizer::Symbolizer(SymbolizeOptions options) : options_(std::move(options)) {}
Symbolizer::~Symbolizer() = default;

void Symbolizer::offer(const std::string& module, const std::string& build_id,
                       const std::string& path) {
  offered_[{module, build_id}] = path;
}

DebugModule* Symbolizer::module_of(const CodeAddress& code) {
  const Key key{code.module, code.build_id};
  const auto known = modules_.find(key);
  if (known != modules_.end()) return known->second.get();
  return modules_.emplace(key, open(code)).first->second.get();
}

std::unique_ptr<DebugModule> Symbolizer::open(const CodeAddress& code) const {
  const auto offered = offered_.find({code.module, code.build_id});
  FoundFile file = find_module_file(code.module, code.build_id,
                                    offered == offered_.end() ? "" : offered->second, options_);
  // Without the program itself its debug information has all the names.
  if (!file.fd.valid()) file = find_debug_file(code.module, code.build_id, "", 0, options_);
  if (!file.fd.valid()) return nullptr;
  return DebugModule::open(std::move(file), code.module, code.build_id, options_);
}

void Symbolizer::prepare(std::span<const CodeAddress> codes) {
  std::map<Key, std::vector<std::uint64_t>> wanted;
  for (const CodeAddress& code : codes)
    if (!code.module.empty()) wanted[{code.module, code.build_id}].push_back(code.address);
  for (auto& [key, addresses] : wanted) {
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    const Answers& known = prepared_[key];
    std::erase_if(addresses, [&](std::uint64_t address) { return known.contains(address); });
    if (addresses.size() < kWorthThreads) continue;
    const CodeAddress module{key.first, key.second, 0};
    // Its debug information is looked for, or fetched, once, before several threads open it.
    if (DebugModule* opened = module_of(module); opened != nullptr) {
      opened->has_lines();
      prepared_[key].merge(look_up(module, addresses));
    }
  }
}

// Neighbours go to one thread: they are of the same units, and a unit is read by whoever needs it.
Symbolizer::Answers Symbolizer::look_up(const CodeAddress& module,
                                        std::span<const std::uint64_t> addresses) {
  const std::size_t parts =
      std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
  std::vector<std::unique_ptr<DebugModule>> more;  // the first part has the one that stays
  std::vector<std::future<Answers>> answers;
  for (std::size_t part = 0; part < parts; ++part) {
    if (part > 0) more.push_back(open(module));
    DebugModule* file = part == 0 ? module_of(module) : more.back().get();
    if (file == nullptr) break;  // it has gone meanwhile: resolve() does the rest
    const std::size_t begin = addresses.size() * part / parts;
    const auto own = addresses.subspan(begin, addresses.size() * (part + 1) / parts - begin);
    // Where no thread is to be had the same is done here.
    constexpr auto kBeside = std::launch::async | std::launch::deferred;
    answers.push_back(std::async(kBeside, [file, own] {
      Answers found;
      found.reserve(own.size());
      for (const std::uint64_t address : own) found.emplace(address, file->resolve(address));
      return found;
    }));
  }
  Answers all;
  all.reserve(addresses.size());
  for (auto& part : answers) all.merge(part.get());
  return all;
}

std::vector<SourceFrame> Symbolizer::resolve(const CodeAddress& code) {
  if (const auto known = prepared_.find({code.module, code.build_id}); known != prepared_.end()) {
    const auto answer = known->second.find(code.address);
    if (answer != known->second.end()) return answer->second;
  }
  DebugModule* module = code.module.empty() ? nullptr : module_of(code);
  return module == nullptr ? std::vector<SourceFrame>() : module->resolve(code.address);
}

bool Symbolizer::has_lines(const CodeAddress& code) {
  DebugModule* module = code.module.empty() ? nullptr : module_of(code);
  return module != nullptr && module->has_lines();
}

std::vector<MissingDebugInfo> Symbolizer::missing() const {
  std::vector<MissingDebugInfo> missing;
  for (const auto& [key, module] : modules_) {
    if (module == nullptr || !module->has_lines())
      missing.push_back({key.first, key.second, module != nullptr});
  }
  return missing;
}

}  // namespace memspy::symbolize

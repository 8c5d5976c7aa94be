#include "symbolize/symbolizer.h"

#include "symbolize/debug_files.h"
#include "symbolize/debug_module.h"

namespace memspy::symbolize {

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
  const auto offered = offered_.find(key);
  FoundFile file = find_module_file(code.module, code.build_id,
                                    offered == offered_.end() ? "" : offered->second, options_);
  // Without the program itself its debug information has all the names.
  if (!file.fd.valid()) file = find_debug_file(code.module, code.build_id, "", 0, options_);
  std::unique_ptr<DebugModule> module;
  if (file.fd.valid())
    module = DebugModule::open(std::move(file), code.module, code.build_id, options_);
  return modules_.emplace(key, std::move(module)).first->second.get();
}

std::vector<SourceFrame> Symbolizer::resolve(const CodeAddress& code) {
  DebugModule* module = code.module.empty() ? nullptr : module_of(code);
  return module == nullptr ? std::vector<SourceFrame>() : module->resolve(code.address);
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

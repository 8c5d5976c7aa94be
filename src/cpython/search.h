// The search for the interpreter of one target: what Interpreter::open does.
#pragma once

#include <string>
#include <vector>

#include "cpython/interpreter.h"
#include "cpython/locate.h"
#include "cpython/probe.h"

namespace memspy::cpython {

class Search {
 public:
  Search(const MemoryReader& memory, const SymbolSource& symbols, const OpenOptions& options,
         std::vector<LocatorAttempt>& attempts)
      : memory_(memory), symbols_(symbols), options_(options), attempts_(attempts) {}

  Result<Interpreter> run();

 private:
  // Each returns true when the search is over: found, or recognised and refused.
  bool try_module(const PythonModule& module);
  bool try_locator(const PythonModule& module, const Locator& locator);
  bool try_location(const PythonModule& module, const Locator& locator, const Located& located);
  bool accept(const PythonModule& module, const Locator& locator, const Located& located, int minor,
              const std::optional<Version>& published);

  std::vector<int> minors_for(const std::optional<Version>& version, const Located& located) const;
  // The variant of a minor that the target's structures agree with.
  Result<ProbeResult> probe_variants(int minor, Anchors& anchors, Layout& chosen) const;
  Result<ProbeResult> probe_variant(Layout& layout, Anchors& anchors) const;
  Error refusal(const Version& version, const PythonModule& module) const;
  bool refuse(const PythonModule& module, const Locator& locator, const Version& version);
  void note(const PythonModule& module, const Locator& locator, std::string evidence,
            bool won = false);
  Error failure() const;

  const MemoryReader& memory_;
  const SymbolSource& symbols_;
  const OpenOptions& options_;
  std::vector<LocatorAttempt>& attempts_;
  // What was looked at already, by whatever locator; scans guess a version with each address.
  std::vector<std::pair<RemoteAddr, std::optional<int>>> tried_;
  std::optional<Interpreter> found_;
  std::optional<Error> refused_;    // CPython, but a build memspy does not read
  std::optional<Error> not_ready_;  // CPython, but not initialised yet
  std::optional<Error> rejected_;   // a runtime by symbol or section that did not hold together
  bool saw_runtime_ = false;        // something named an address in the current module
};

}  // namespace memspy::cpython

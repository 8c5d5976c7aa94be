// For builds without clang or libbpf (MEMSPY_BPF=OFF).
#include "attach/bpf_faults.h"

namespace memspy::attach {

Result<std::unique_ptr<BpfFaults>> BpfFaults::load() {
  Error error = make_error(Errc::kUnsupported, "this memspy was built without its BPF program");
  error.hint = "install clang and libbpf-dev and build it again, or use another engine";
  return error;
}

}  // namespace memspy::attach

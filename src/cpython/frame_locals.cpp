#include "cpython/frame_locals.h"

namespace memspy::cpython {

Result<std::vector<LocalVariable>> read_locals(const Layout&, const MemoryReader&, RemoteAddr, std::size_t) {
  return make_error(Errc::kUnsupported, "locals");
}

}  // namespace memspy::cpython

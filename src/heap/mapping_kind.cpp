#include "heap/mapping_kind.h"

#include <string_view>

namespace memspy::heap {
namespace {

// Shared memory that the kernel keeps in no file of a disk.
bool memory_only(const Mapping& mapping) {
  const std::string_view path = mapping.path;
  return path.empty() || path.starts_with("/dev/shm/") || path.starts_with("/memfd:") ||
         path.starts_with("/SYSV") || path.starts_with("/dev/zero") ||
         path.starts_with("[anon_shmem");
}

Kind of_anonymous(const Mapping& mapping) {
  const std::string_view path = mapping.path;
  if (path.starts_with("[stack")) return Kind::kStacks;
  if (path == "[vdso]" || path.starts_with("[vvar") || path == "[vsyscall]") return Kind::kCode;
  // Generated code, and what a program has given a name (prctl PR_SET_VMA_ANON_NAME).
  if (mapping.executable || (path.starts_with("[anon:") && !path.starts_with("[anon: glibc"))) {
    return Kind::kAnonymous;
  }
  return Kind::kUnexplained;
}

}  // namespace

MappingKinds::MappingKinds(const SymbolSource& symbols) {
  for (const ModuleImage* module : symbols.modules()) libraries_.insert(module->path());
}

Kind MappingKinds::of(const Mapping& mapping) const {
  if (mapping.shared) return memory_only(mapping) ? Kind::kShared : Kind::kFiles;
  if (mapping.anonymous()) return of_anonymous(mapping);
  if (!libraries_.contains(mapping.path) && !mapping.executable) return Kind::kFiles;
  return mapping.writable ? Kind::kData : Kind::kCode;
}

}  // namespace memspy::heap

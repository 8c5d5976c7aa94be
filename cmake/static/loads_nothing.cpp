// A static program that loads a shared library gets a second C library with it, of whatever version
// is there. libdw would (debuginfod), and SQLite can: here they hear that there is none.
#include <dlfcn.h>
#include <nss.h>

extern "C" {

void* dlopen(const char*, int) noexcept { return nullptr; }
void* dlsym(void*, const char*) noexcept { return nullptr; }
int dlclose(void*) noexcept { return -1; }
char* dlerror() noexcept {
  static char text[] = "memspy is linked statically and loads nothing";
  return text;
}
}

namespace {

// The same of names of hosts: nsswitch.conf may name services that are libraries. These two are
// part of the C library.
[[gnu::constructor]] void look_up_hosts_without_libraries() {
  __nss_configure_lookup("hosts", "files dns");
}

}  // namespace

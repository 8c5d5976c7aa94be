#include "sinks/page_asset.h"

// The assembler takes the file as it is: no generated source, no second copy of it.
// MEMSPY_PAGE_FILE is its path, by CMake.
__asm__(
    ".pushsection .rodata\n"
    ".local memspy_page_begin\n"
    ".local memspy_page_end\n"
    "memspy_page_begin:\n"
    ".incbin \"" MEMSPY_PAGE_FILE
    "\"\n"
    "memspy_page_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" {
extern const char memspy_page_begin[];  // NOLINT(modernize-avoid-c-arrays)
extern const char memspy_page_end[];    // NOLINT(modernize-avoid-c-arrays)
}

namespace memspy::sinks {

std::string_view page_asset() {
  return {memspy_page_begin, static_cast<std::size_t>(memspy_page_end - memspy_page_begin)};
}

}  // namespace memspy::sinks

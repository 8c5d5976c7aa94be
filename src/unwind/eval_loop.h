// Where the interpreter's evaluation loop is in a file: the frames of it are the ones that Python
// frames stand for.
#pragma once

#include <vector>

#include "symbolize/cfi_table.h"
#include "symbolize/elf_file.h"
#include "unwind/code_map.h"

namespace memspy::unwind {

// By its symbol, which every build of CPython exports, and those of its clones and cold parts;
// where the file is stripped of these, a cold part is what the loop jumps to conditionally and what
// jumps back. Empty: there is no interpreter in the file.
std::vector<LinkRange> find_evaluation_loop(const symbolize::ElfFile& image,
                                            symbolize::CfiTable& rows);

}  // namespace memspy::unwind

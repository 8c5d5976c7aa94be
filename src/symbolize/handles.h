// unique_ptr for the C handles of elfutils. Stateless deleters: a handle is as big as its pointer.
#pragma once

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <libelf.h>

#include <memory>

namespace memspy::symbolize {

struct ElfDeleter {
  void operator()(Elf* elf) const { ::elf_end(elf); }
};
struct DwarfDeleter {
  void operator()(Dwarf* dwarf) const { ::dwarf_end(dwarf); }
};
struct DwflDeleter {
  void operator()(Dwfl* dwfl) const { ::dwfl_end(dwfl); }
};

using ElfHandle = std::unique_ptr<Elf, ElfDeleter>;
using DwarfHandle = std::unique_ptr<Dwarf, DwarfDeleter>;
using DwflHandle = std::unique_ptr<Dwfl, DwflDeleter>;

}  // namespace memspy::symbolize

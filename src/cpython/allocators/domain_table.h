// Which functions a domain of CPython's memory API (PEP 445) calls now. PyObject_Malloc and the
// like only jump through a table of pointers that hooks may replace at any time: {context, malloc,
// calloc, realloc, free}. No symbol of a stripped program names that table, but the code of the
// exported function has its address, in one of a few forms, on every version.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>

#include "memspy/address.h"
#include "memspy/memory_reader.h"

namespace memspy::cpython {

struct DomainTable {
  RemoteAddr slot;  // of the pointer to malloc; those to calloc, realloc and free follow
  RemoteAddr malloc, calloc, realloc, free;
  bool operator==(const DomainTable&) const = default;
};

// Is this the first instruction of a function?
using IsFunction = std::function<bool(RemoteAddr)>;

// `code`: of the domain's function that allocates (PyObject_Malloc, PyMem_Malloc, PyMem_RawMalloc),
// as it lies in memory at `address`. nullopt: nothing in it leads to four functions in a row.
std::optional<DomainTable> find_domain_table(const MemoryReader& memory,
                                             std::span<const std::byte> code, RemoteAddr address,
                                             const IsFunction& is_function);

// What stands in that table now. nullopt: it cannot be read.
std::optional<DomainTable> read_domain_table(const MemoryReader& memory, RemoteAddr slot);

}  // namespace memspy::cpython

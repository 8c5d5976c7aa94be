// Code and tables that a target makes up: what looks for its allocators reads within bounds, and
// names only what it was told is a function. Input: a length, that much code, then the bytes of its
// data.
#include <algorithm>

#include "cpython/allocators/domain_table.h"
#include "cpython/allocators/inlined_calls.h"
#include "require.h"
#include "support/fake_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using memspy::RemoteAddr;
  namespace cpython = memspy::cpython;
  if (size == 0) return 0;
  const std::size_t length = std::min<std::size_t>(data[0], size - 1);
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const auto code = bytes.first(length), rest = bytes.subspan(length);
  constexpr RemoteAddr kCode{0x1000};
  const RemoteAddr table{(kCode.value + length + 7) & ~7ULL};
  memspy::testing::FakeMemory memory;
  memory.add_segment(table, std::vector<std::byte>(rest.begin(), rest.end()));
  const auto is_function = [](RemoteAddr at) { return at.value % 16 == 0; };
  if (const auto found = cpython::find_domain_table(memory, code, kCode, is_function)) {
    MEMSPY_REQUIRE(found->slot >= table && found->slot.value + 32 <= table.value + rest.size());
    for (const RemoteAddr at : {found->malloc, found->calloc, found->realloc, found->free})
      MEMSPY_REQUIRE(at && is_function(at));
  }
  const std::uint64_t functions[] = {0x0, 0x1000, table.value};
  const auto guards = cpython::find_guards(code, kCode.value, functions);
  MEMSPY_REQUIRE(std::is_sorted(guards.begin(), guards.end()));
  for (const std::uint64_t at : guards)
    MEMSPY_REQUIRE(at >= kCode.value && at < kCode.value + length);
  return 0;
}

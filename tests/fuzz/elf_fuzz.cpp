// One input as a file for libelf, as an image in a target's memory, and as notes.
#include <cstdint>
#include <span>
#include <vector>

#include "require.h"
#include "support/fake_memory.h"
#include "symbolize/elf_file.h"
#include "symbolize/elf_in_memory.h"

using namespace memspy;
using namespace memspy::symbolize;

namespace {

void question(const ElfImage& image) {
  static_cast<void>(image.find_symbol("memspy_exported_data"));
  static_cast<void>(image.find_symbol("no such symbol"));
  static_cast<void>(image.find_section(".PyRuntime"));
  MEMSPY_REQUIRE(image.build_id().size() <= 128);
  for (const auto& segment : image.segments()) {
    static_cast<void>(bias_of_mapping(image.segments(), 0x7f0000000000, segment.offset, true));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::vector<std::byte> copy(bytes.begin(), bytes.end());
  if (const auto file = ElfFile::from_bytes(copy, "fuzz")) question(**file);
  // Images made for address 0, and for one far from it.
  for (const std::uint64_t base : {std::uint64_t{0x7f0000000000}, std::uint64_t{0x400000}}) {
    memspy::testing::FakeMemory memory;
    memory.add_segment(RemoteAddr{base}, copy);
    if (const auto image = ElfInMemory::read(memory, RemoteAddr{base})) question(**image);
  }
  static_cast<void>(find_build_id(bytes));
  return 0;
}

// One input as a file with debug information: names and lines are asked for at many addresses.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "require.h"
#include "symbolize/elf_file.h"
#include "symbolize/symbolizer.h"

using namespace memspy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const UniqueFd file(::memfd_create("fuzz", MFD_CLOEXEC));
  if (::write(file.get(), data, size) != static_cast<ssize_t>(size)) return 0;
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  const auto image = symbolize::ElfFile::open(path);
  if (!image.has_value()) return 0;
  symbolize::Symbolizer symbolizer({});
  CodeAddress code{"/fuzz", (*image)->build_id(), 0};
  symbolizer.offer(code.module, code.build_id, path);
  constexpr std::uint64_t kQuestions = 40;
  for (const auto& segment : (*image)->segments()) {
    if (!segment.executable) continue;
    for (std::uint64_t i = 0; i < kQuestions; ++i) {
      code.address = segment.address + i * (segment.memory_size / kQuestions + 1);
      const auto frames = symbolizer.resolve(code);
      MEMSPY_REQUIRE(frames.size() <= 256);
      for (const auto& frame : frames) MEMSPY_REQUIRE(frame.line >= 0);
    }
  }
  static_cast<void>(symbolizer.missing());
  return 0;
}

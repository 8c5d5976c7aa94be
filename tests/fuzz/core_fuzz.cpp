// A core file of any bytes: parsed, mapped, and read where its headers say that memory is.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "attach/core_format.h"
#include "attach/core_image.h"
#include "require.h"

namespace {

using memspy::RemoteAddr;
namespace attach = memspy::attach;

constexpr std::size_t kMappingsRead = 64;

void read_around(const attach::ProcessImage& image, RemoteAddr at) {
  std::array<std::byte, 64> bytes;
  const std::size_t got = image.read_some(at, bytes);
  MEMSPY_REQUIRE(got <= bytes.size());
  const auto view = image.view(at);
  MEMSPY_REQUIRE(view.empty() == (got == 0));
  if (view.empty()) return;
  const std::size_t both = std::min(got, view.size());
  MEMSPY_REQUIRE(
      std::equal(view.begin(), view.begin() + static_cast<std::ptrdiff_t>(both), bytes.begin()));
  volatile std::byte last = view.back();  // what is promised is there
  (void)last;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto image =
      attach::image_of_core({reinterpret_cast<const std::byte*>(data), size}, {}, "/proc/self/exe");
  if (!image) return 0;
  RemoteAddr end{0};
  std::size_t count = 0;
  MEMSPY_REQUIRE((*image)->map().size() == (*image)->pages().size());
  for (const auto& mapping : (*image)->map()) {
    MEMSPY_REQUIRE(mapping.start >= end);
    MEMSPY_REQUIRE(mapping.start < mapping.end);
    end = mapping.end;
    if (++count > kMappingsRead) continue;
    for (const RemoteAddr at :
         {mapping.start, mapping.end - 1, mapping.end, mapping.start + mapping.size() / 2}) {
      read_around(**image, at);
    }
  }
  return 0;
}

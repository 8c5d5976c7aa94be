#include "memspy/memory_reader.h"

#include <algorithm>
#include <array>

#include <spdlog/fmt/fmt.h>

namespace memspy {

void MemoryReader::read_many(std::span<ReadRequest> requests) const {
  for (auto& request : requests) request.done = read_some(request.addr, request.out);
}

std::span<const std::byte> MemoryReader::view(RemoteAddr) const { return {}; }

Result<Unit> read_exact(const MemoryReader& memory, RemoteAddr addr, std::span<std::byte> out) {
  const std::size_t got = memory.read_some(addr, out);
  if (got == out.size()) return Unit{};
  return make_error(Errc::kUnreadable,
                    fmt::format("{} of {} bytes readable at {:#x}", got, out.size(), addr.value));
}

Result<std::string> read_c_string(const MemoryReader& memory, RemoteAddr addr, std::size_t cap) {
  std::string text;
  std::array<std::byte, 256> buffer;
  while (text.size() < cap) {
    const std::size_t want = std::min(buffer.size(), cap - text.size());
    const std::size_t got = memory.read_some(addr + text.size(), std::span(buffer).first(want));
    if (got == 0) {
      return make_error(Errc::kUnreadable,
                        fmt::format("string at {:#x} runs into unreadable memory", addr.value));
    }
    const auto* chars = reinterpret_cast<const char*>(buffer.data());
    const auto* end = std::find(chars, chars + got, '\0');
    text.append(chars, end);
    if (end != chars + got) break;
  }
  return text;
}

}  // namespace memspy

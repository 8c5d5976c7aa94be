#include "procfs/blocked_call.h"

#include <spdlog/fmt/fmt.h>

#include "procfs/text.h"

namespace memspy::procfs {
namespace {

bool take_hex(std::string_view& rest, std::uint64_t& out) {
  rest = text::skip_blanks(rest);
  return text::take_char(rest, '0') && text::take_char(rest, 'x') &&
         text::take_number(rest, out, 16);
}

}  // namespace

// "running", "-1 sp pc", or "number six-arguments sp pc".
Result<BlockedCall> parse_blocked_call(std::string_view line) {
  BlockedCall call;
  std::string_view rest = text::trim(line);
  if (rest == "running") {
    call.running = true;
    return call;
  }
  bool good = text::take_number(rest, call.number);
  if (good && call.number != -1) {
    for (auto& argument : call.arguments) good = good && take_hex(rest, argument);
  }
  std::uint64_t stack = 0;
  std::uint64_t code = 0;
  good = good && take_hex(rest, stack) && take_hex(rest, code);
  if (!good) {
    return make_error(Errc::kCorrupt,
                      fmt::format("not a line of syscall: \"{}\"", line.substr(0, 200)));
  }
  return call;
}

}  // namespace memspy::procfs

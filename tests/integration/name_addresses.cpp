// What the symbolizer says of addresses, in the form of `eu-addr2line -i -f -C -e FILE`, to
// compare:
//   name_addresses FILE [DEBUG-DIR] < addresses      one hexadecimal link address a line
// With --time FOLDER before that the time that it takes instead, in seconds, with a cache in that
// folder.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "cli/cached_names.h"
#include "symbolize/elf_file.h"
#include "symbolize/symbolizer.h"

using namespace memspy;

namespace {

std::vector<std::uint64_t> read_addresses() {
  std::vector<std::uint64_t> addresses;
  for (std::string line; std::getline(std::cin, line);)
    addresses.push_back(std::stoull(line, nullptr, 16));
  return addresses;
}

double seconds_of(const std::vector<std::uint64_t>& addresses, symbolize::Symbolizer& symbolizer,
                  const std::string& folder, CodeAddress code) {
  const auto begin = std::chrono::steady_clock::now();
  cli::CachedNames names(symbolizer, folder);
  std::vector<CodeAddress> codes;
  for (const std::uint64_t address : addresses)
    codes.push_back({code.module, code.build_id, address});
  names.prepare(codes);
  std::size_t frames = 0;
  for (const std::uint64_t address : addresses) {
    code.address = address;
    frames += names.resolve(code).size();
  }
  names.keep();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  return frames > 0 ? taken.count() : -1;
}

void print(const std::vector<symbolize::SourceFrame>& frames) {
  for (const auto& frame : frames) {
    std::cout << (frame.function.empty() ? "??" : frame.function) << '\n';
    std::cout << (frame.file.empty() ? "??" : frame.file) << ':' << frame.line << '\n';
  }
  if (frames.empty()) std::cout << "??\n??:0\n";
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool timed = !arguments.empty() && arguments.front() == "--time";
  if (arguments.size() < (timed ? 3U : 1U)) return 2;
  const std::string folder = timed ? arguments[1] : "";
  if (timed) arguments.erase(arguments.begin(), arguments.begin() + 2);
  const auto file = symbolize::ElfFile::open(arguments[0]);
  if (!file.has_value()) return 1;
  symbolize::SymbolizeOptions options;
  if (arguments.size() > 1) options.debug_dirs.push_back(arguments[1]);
  symbolize::Symbolizer symbolizer(options);
  CodeAddress code{arguments[0], (*file)->build_id(), 0};
  const auto addresses = read_addresses();
  if (timed) {
    std::cout << seconds_of(addresses, symbolizer, folder, code) << '\n';
    return 0;
  }
  for (const std::uint64_t address : addresses) {
    code.address = address;
    std::cout << std::hex << "0x" << address << std::dec << '\n';
    print(symbolizer.resolve(code));
  }
  return 0;
}
